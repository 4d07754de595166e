//! Laws of incidents: told once, bounded; and two machines under one identity are among them.

use classpulse::{
    domain::{
        boots::{Boots, Heard},
        ids::TerminalId,
        incident::{Incident, Kind},
    },
    store::{Batch, Contact, IncidentFilter, MAX_INCIDENTS_PER_TERMINAL, Record, Store},
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;

use super::{
    Database,
    fixtures::{contact, terminal},
};

/// 2026-09-01T08:00:00+08:00.
const NOW: i64 = 1_788_220_800;

/// All of them, newest first.
pub(super) async fn incidents(store: &dyn Store) -> Vec<Incident> {
    let all = IncidentFilter {
        limit: 1_000,
        ..IncidentFilter::default()
    };
    store.incidents(&all).await.unwrap()
}

pub(super) fn signal(number: u32, received_at: i64) -> Incident {
    Incident {
        terminal: terminal(1),
        boot_id: [4; 16],
        kind: Kind::AgentGap,
        number,
        at: NOW - 60,
        seconds: 50,
        received_at,
    }
}

pub(super) fn telling(incidents: Vec<Incident>) -> Batch {
    Batch {
        incidents,
        ..Batch::default()
    }
}

pub(super) async fn an_incident_is_told_once_and_a_flood_is_bounded(database: &Database) {
    let store = database.open().await;
    let other = Incident {
        kind: Kind::ClockSet,
        seconds: -3_600,
        ..signal(1, NOW + 1)
    };
    let all = vec![signal(1, NOW), other.clone(), signal(1, NOW)];
    store.commit(telling(all)).await.unwrap();
    let changed = Incident {
        seconds: 99,
        ..signal(1, NOW + 500)
    };
    let elsewhere = Incident {
        terminal: terminal(2),
        ..signal(1, NOW + 2)
    };
    let committed = store
        .commit(telling(vec![changed, elsewhere.clone()]))
        .await
        .unwrap();
    assert_eq!(committed.dropped_incidents, 0);
    let newest = [elsewhere, other, signal(1, NOW)];
    assert_eq!(
        incidents(&*store).await,
        newest,
        "repeating changes nothing"
    );
    let filter = |terminal, since, limit| IncidentFilter {
        terminal,
        since,
        limit,
        ..IncidentFilter::default()
    };
    let found = store.incidents(&filter(None, NOW + 1, 1)).await.unwrap();
    assert_eq!(found, newest[..1]);
    let found = store
        .incidents(&filter(Some(terminal(1)), NOW, 9))
        .await
        .unwrap();
    assert_eq!(found, newest[1..]);
    let within = |kind, since, until| IncidentFilter {
        kind,
        since,
        until: Some(until),
        limit: 9,
        ..IncidentFilter::default()
    };
    for one in &newest {
        let at = one.received_at;
        let found = store.incidents(&within(Some(one.kind), at, at + 1)).await;
        assert!(found.unwrap().contains(one), "{one:?}");
        let before = store.incidents(&within(None, i64::MIN, at)).await.unwrap();
        assert!(!before.contains(one), "{one:?}");
        let other = within(Some(Kind::TwoMachines), at, at + 1);
        assert_eq!(store.incidents(&other).await.unwrap(), []);
    }
    assert_eq!(
        store.pending_count().await.unwrap(),
        2,
        "who tells is known"
    );

    let most = MAX_INCIDENTS_PER_TERMINAL;
    let flood: Vec<_> = (1..=most + 10)
        .map(|number| signal(number, NOW + 9))
        .collect();
    let committed = store.commit(telling(flood.clone())).await.unwrap();
    assert_eq!(
        committed.dropped_incidents, 11,
        "two were there, and one was among them"
    );
    let committed = store.commit(telling(flood)).await.unwrap();
    assert_eq!(
        committed.dropped_incidents, 11,
        "those that are known are none"
    );
    let tomorrow = store
        .commit(telling(vec![signal(most + 10, NOW + 90_000)]))
        .await
        .unwrap();
    assert_eq!(tomorrow.dropped_incidents, 0);
    store.close().await;
}

pub(super) async fn incidents_of_every_kind_are_kept(database: &Database) {
    let store = database.open().await;
    let told: Vec<_> = Kind::ALL
        .into_iter()
        .zip(1..)
        .map(|(kind, number)| Incident {
            kind,
            ..signal(number, NOW + i64::from(number))
        })
        .collect();
    store.commit(telling(told.clone())).await.unwrap();
    let kept: Vec<_> = incidents(&*store).await.into_iter().rev().collect();
    assert_eq!(kept, told);
    store.close().await;
}

/// What the store says of a terminal's boots, and whether it told of two machines.
async fn boots(store: &dyn Store, terminal: &TerminalId) -> (Option<Boots>, bool) {
    let mut kept = None;
    for record in everything(store).await {
        let Record::Terminal(found) = record else {
            continue;
        };
        if found.id == *terminal
            && let Some(heard) = found.heard
            && let Some(boots) = heard.boots
        {
            let of = |boot: &[u8], sequence| Heard {
                boot: boot.try_into().unwrap(),
                sequence,
            };
            kept = Some(Boots {
                latest: of(&heard.boot_id, boots.sequence),
                before: (!boots.before_id.is_empty())
                    .then(|| of(&boots.before_id, boots.before_sequence)),
                since: boots.since,
                turns: boots.turns,
            });
        }
    }
    let told = incidents(store).await;
    (kept, told.iter().any(|one| one.kind == Kind::TwoMachines))
}

pub(super) async fn everything(store: &dyn Store) -> Vec<Record> {
    let (send, mut pages) = mpsc::channel(4);
    let read = async {
        let mut all = Vec::new();
        while let Some(page) = pages.recv().await {
            all.extend(page);
        }
        all
    };
    let (done, all) = futures::future::join(store.export(send), read).await;
    done.unwrap();
    all
}

/// Random reports of up to four boots: the store's state is the domain's, step by step.
pub(super) async fn boots_that_take_turns_are_two_machines(database: &Database) {
    const SEED: u64 = 0xB007;
    println!("seed {SEED:#x}");
    let store = database.open().await;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut raised = 0;
    for round in 0..12_u32 {
        let terminal = terminal(100 + round);
        let (mut at, mut expected, mut told, mut has_facts) = (NOW, None::<Boots>, false, false);
        for _ in 0..30 {
            at += random.random_range(0..if round % 2 == 0 { 60 } else { 400 });
            let boot = [random.random_range(1..if round % 3 == 0 { 5 } else { 3 }); 16];
            let lives = random.random_range(0..8) > 0;
            let facts = random.random_range(0..12) == 0;
            let sequence = random.random_range(1..1_000);
            let one = Contact {
                terminal: terminal.clone(),
                boot_id: boot,
                sequence: lives.then_some(sequence),
                facts: facts.then(|| ("1".to_owned(), "x".to_owned())),
                ..contact(1, at)
            };
            let batch = Batch {
                contacts: vec![one],
                ..Batch::default()
            };
            store.commit(batch).await.unwrap();
            if lives {
                let heard = Heard { boot, sequence };
                match &mut expected {
                    None => expected = Some(Boots::new(heard, at)),
                    Some(boots) => boots.hear(heard, facts, facts || !has_facts, at),
                }
                told |= expected.is_some_and(|boots| boots.are_two_machines());
            }
            has_facts |= facts;
            let (kept, said) = boots(&*store, &terminal).await;
            assert_eq!(kept, expected, "round {round}");
            assert!(!told || said, "round {round}");
        }
        raised += u32::from(told);
    }
    let told = incidents(&*store).await;
    assert_eq!(u32::try_from(told.len()).unwrap(), raised);
    assert!((3..=11).contains(&raised), "both happen: {raised}");
    store.close().await;
}
