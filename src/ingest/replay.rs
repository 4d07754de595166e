//! Brings quarantine entries back once their cause is mended.
//!
//! Each entry goes through the same checks as a new report; what passes is counted and ticked off in one commit.
//! Not responsible for mending causes (registry).

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;

use super::assemble::{Assembly, Decoded, Incoming, Known, open};
use crate::{
    domain::ids::TerminalId,
    store::{Quarantined, Store, StoreError},
};

/// Entries in one commit.
const PAGE: u32 = 1_000;

/// Which entries to replay.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only this entry.
    pub id: Option<i64>,
    /// Only this terminal's.
    pub terminal: Option<String>,
    /// Only those refused for this reason (its key).
    pub reason: Option<String>,
}

impl Selection {
    /// Whether an entry is meant.
    #[must_use]
    pub fn matches(&self, entry: &Quarantined) -> bool {
        self.id.is_none_or(|id| id == entry.id)
            && self
                .terminal
                .as_ref()
                .is_none_or(|terminal| *terminal == entry.terminal)
            && self
                .reason
                .as_ref()
                .is_none_or(|reason| *reason == entry.reason)
    }
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Replayed {
    /// Entries tried.
    pub tried: u64,
    /// Entries that count now.
    pub counted: u64,
    /// Entries that are refused still, by the reason that holds now.
    pub refused: BTreeMap<String, u64>,
}

/// Tries the selected entries again. `at` is the service's clock, Unix seconds.
///
/// # Errors
/// The store's; what was counted before the failure stays counted.
pub async fn replay(
    store: &dyn Store,
    selection: &Selection,
    at: i64,
    zone: &TimeZone,
) -> Result<Replayed, StoreError> {
    let mut done = Replayed::default();
    let mut after = 0;
    loop {
        let page = store.quarantine(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(done);
        };
        after = last.id;
        let selected: Vec<_> = page
            .into_iter()
            .filter(|entry| selection.matches(entry))
            .collect();
        if !selected.is_empty() {
            replay_page(store, selected, at, zone, &mut done).await?;
        }
    }
}

async fn replay_page(
    store: &dyn Store,
    entries: Vec<Quarantined>,
    at: i64,
    zone: &TimeZone,
    done: &mut Replayed,
) -> Result<(), StoreError> {
    let opened: Vec<(Incoming, Decoded)> = entries
        .into_iter()
        .map(|entry| {
            let incoming = Incoming {
                topic_terminal: Some(entry.terminal),
                payload: entry.payload.into(),
                received_at: at,
                replay_of: Some(entry.id),
            };
            let decoded = open(&incoming, zone);
            (incoming, decoded)
        })
        .collect();
    let mut names: Vec<TerminalId> = opened
        .iter()
        .filter_map(|(_, decoded)| match decoded {
            Decoded::Good(good) => Some(good.0.clone()),
            Decoded::Bad(..) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let found = store.standings(&names).await?;
    let standings: HashMap<_, _> = names.into_iter().zip(found).collect();
    let pending = store.pending_count().await?;
    let mut known = Known {
        standings: &standings,
        room_for_unknown: super::pipeline::MAX_PENDING_TERMINALS.saturating_sub(pending),
        kept_from: store.kept_from().await?,
    };
    let mut assembly = Assembly::default();
    for (incoming, decoded) in opened {
        assembly.add(&incoming, decoded, &mut known, zone);
    }
    let batch = assembly.batch();
    done.counted += batch.replayed.len() as u64;
    let committed = store.commit(batch).await?;
    for outcome in assembly.finish(&committed, None) {
        done.tried += 1;
        if let Some((reason, _)) = outcome.refused.first() {
            *done.refused.entry(reason.key().to_owned()).or_default() += 1;
        }
    }
    Ok(())
}
