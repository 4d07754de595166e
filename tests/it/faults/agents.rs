//! Real agents and a real aggregator, each killed with -9 and started again: what the agents recorded is what counts.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::{
    stack::{Fault, Kind, Stack},
    up_to,
};
use crate::{
    agent_process::{Agent, held, painted, until},
    support::{register, terminal},
};

const SEED: u64 = 0xA6;

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_their_aggregator_under_kill_9() {
    println!("agents: seed {SEED:#x}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let folder = TempDir::new().unwrap();
    let mut stack = tokio::task::block_in_place(|| Stack::start(Kind::EmbeddedSqlite));
    let store = stack.open_store().await;
    register(&store, &[]).await;
    let names = ["real-a", "real-b", "real-c"];
    let mut agents: Vec<_> = names
        .iter()
        .map(|name| Agent::start(&folder, stack.broker(), name))
        .collect();
    for _ in 0..8 {
        tokio::time::sleep(up_to(&mut random, 2_500)).await;
        let victim = random.random_range(0..=names.len());
        if victim == names.len() {
            let fault = Fault::KillAggregator(0, up_to(&mut random, 1_000));
            stack.suffer(fault).await;
        } else {
            println!("agents: kill -9 of {}", names[victim]);
            drop(agents.remove(victim));
            tokio::time::sleep(up_to(&mut random, 1_000)).await;
            agents.insert(victim, Agent::start(&folder, stack.broker(), names[victim]));
        }
    }
    // An agent that waits to connect again can't say its last words.
    let mut heard = Vec::new();
    for name in names {
        let known = store.terminal(&terminal(name)).await.unwrap();
        heard.push(known.and_then(|one| one.last_heard));
    }
    for (name, before) in names.iter().zip(heard) {
        until("a report after the last fault", async || {
            let known = store.terminal(&terminal(name)).await.unwrap();
            known.and_then(|one| one.last_heard) > before
        })
        .await;
    }
    for (name, agent) in names.iter().zip(agents) {
        let sessions = agent.stop();
        let recorded = painted(&sessions);
        let minutes: u32 = recorded.iter().map(|(_, powered, _)| powered.count()).sum();
        assert!(minutes > 0, "{name} recorded the time since the boot");
        until("what it recorded", async || {
            held(&store, name).await == recorded
        })
        .await;
        println!("{name}: recorded {minutes} minutes, held the same; lost 0, double 0");
    }
    assert_eq!(store.quarantine_counts().await.unwrap(), []);
    store.close().await;
    tokio::task::block_in_place(|| stack.stop());
}
