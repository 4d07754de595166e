//! Retained messages of the embedded broker: each terminal's latest state, in memory.
//!
//! Terminals tell their state anew when they connect, so nothing needs to survive a restart.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rmqtt::{
    Result,
    retain::RetainStorage,
    types::{Retain, TopicFilter, TopicName},
};

/// Most topics that are kept: one a terminal, with room for terminals that were replaced.
const MAX_TOPICS: usize = 100_000;

/// The latest message of each topic.
#[derive(Default)]
pub(super) struct Latest(Mutex<HashMap<TopicName, Retain>>);

impl Latest {
    /// Every change is one step, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<TopicName, Retain>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}

#[async_trait]
impl RetainStorage for Latest {
    fn enable(&self) -> bool {
        true
    }

    async fn set(
        &self,
        topic: &TopicName,
        retain: Retain,
        _expiry: Option<Duration>,
    ) -> Result<()> {
        let mut kept = self.lock();
        if retain.publish.payload.is_empty() {
            kept.remove(topic);
        } else if kept.len() < MAX_TOPICS || kept.contains_key(topic) {
            kept.insert(topic.clone(), retain);
        }
        Ok(())
    }

    /// Subscriptions to patterns are refused at the gate, so a filter is a topic.
    async fn get(&self, filter: &TopicFilter) -> Result<Vec<(TopicName, Retain)>> {
        Ok(self
            .lock()
            .get_key_value(filter)
            .map(|(topic, retain)| (topic.clone(), retain.clone()))
            .into_iter()
            .collect())
    }

    async fn count(&self) -> isize {
        signed(self.lock().len())
    }

    async fn max(&self) -> isize {
        signed(MAX_TOPICS)
    }
}
