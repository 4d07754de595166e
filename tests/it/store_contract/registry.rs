//! Laws of the registry: who is known, what a change must refer to, how lists are asked for.

use classpulse::{
    domain::{ids::Stage, usage::Period},
    store::{
        Batch, County, RegistryChange, School, ServiceSpan, Standing, Store, StoreError, Terminal,
        TerminalFilter,
    },
};
use jiff::{
    ToSpan,
    civil::{Date, date},
};

use super::{
    Database,
    fixtures::{
        TUESDAY, between, calendar, contact, county, day, placed, primary, school, schools, since,
        terminal, used,
    },
};

pub(super) async fn a_terminal_is_unknown_then_pending_then_registered(database: &Database) {
    let store = database.open().await;
    let both = [terminal(2), terminal(1)];
    assert_eq!(
        store.standings(&both).await.unwrap(),
        [Standing::Unknown, Standing::Unknown]
    );
    assert!(store.terminal(&terminal(1)).await.unwrap().is_none());
    store
        .commit(day(1, TUESDAY, &used(480, 500)))
        .await
        .unwrap();
    store
        .commit(Batch {
            contacts: vec![contact(2, 77)],
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(
        store.standings(&both).await.unwrap(),
        [Standing::Pending, Standing::Pending]
    );
    assert_eq!(store.pending_count().await.unwrap(), 2);
    assert!(
        store.roll_up(10).await.unwrap().is_empty(),
        "a pending terminal is in no school"
    );

    store.change_registry(schools([1])).await.unwrap();
    let history = vec![
        between(1, date(2026, 3, 1), date(2026, 7, 1)),
        since(1, TUESDAY),
    ];
    store.change_registry(placed(1, history)).await.unwrap();
    assert_eq!(store.pending_count().await.unwrap(), 1);
    let periods = vec![
        Period {
            first: date(2026, 3, 1),
            last: date(2026, 7, 1),
        },
        Period {
            first: TUESDAY,
            last: date(9999, 12, 31),
        },
    ];
    let standings = store.standings(&both).await.unwrap();
    assert_eq!(
        standings,
        [Standing::Pending, Standing::Registered(periods)]
    );
    let rolled = store.roll_up(10).await.unwrap();
    assert_eq!(
        rolled.len(),
        1,
        "the minutes from before the approval are in the school now"
    );
    assert_eq!(
        (rolled[0].minutes.used, &rolled[0].school),
        (20, &school(1))
    );
    store.close().await;
}

pub(super) async fn what_is_missing_is_named_and_nothing_half_done(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    let version = store.registry_version().await.unwrap();
    let strange: County = County {
        code: "110101".parse().unwrap(),
        name: "东城区".to_owned(),
    };
    let change = RegistryChange {
        counties: vec![strange.clone()],
        schools: vec![School {
            name: "改名".to_owned(),
            ..primary(1)
        }],
        placements: vec![
            (terminal(1), vec![since(1, TUESDAY)]),
            (terminal(2), vec![since(9, TUESDAY)]),
        ],
    };
    let error = store.change_registry(change).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::NotFound { what: "school", id } if id == "XK-09"),
        "{error}"
    );
    let change = RegistryChange {
        schools: vec![
            primary(2),
            School {
                county: strange.code.clone(),
                ..primary(3)
            },
        ],
        ..RegistryChange::default()
    };
    let error = store.change_registry(change).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::NotFound { what: "county", id } if id == "110101"),
        "{error}"
    );
    let error = store
        .set_calendar(&strange.code, &calendar(16), 0)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::NotFound { what: "county", .. }),
        "{error}"
    );

    assert_eq!(store.counties().await.unwrap().len(), 1);
    assert_eq!(store.schools(&county()).await.unwrap(), [primary(1)]);
    assert_eq!(store.school(&school(1)).await.unwrap(), Some(primary(1)));
    assert_eq!(store.school(&school(2)).await.unwrap(), None);
    assert_eq!(
        store.standings(&[terminal(1)]).await.unwrap(),
        [Standing::Unknown]
    );
    assert_eq!(store.registry_version().await.unwrap(), version);
    assert!(store.schools(&strange.code).await.unwrap().is_empty());
    assert!(store.calendar(&strange.code).await.unwrap().is_none());
    assert!(store.service_spans(&strange.code).await.unwrap().is_empty());
    store.close().await;
}

pub(super) async fn a_history_that_contradicts_itself_is_refused(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1, 2])).await.unwrap();
    let good = vec![between(1, TUESDAY, TUESDAY), since(2, TUESDAY + 1.day())];
    store
        .change_registry(placed(1, good.clone()))
        .await
        .unwrap();
    for bad in [
        vec![since(1, TUESDAY), since(2, TUESDAY + 9.days())],
        vec![
            between(1, TUESDAY, TUESDAY + 1.day()),
            since(2, TUESDAY + 1.day()),
        ],
        vec![between(1, TUESDAY, TUESDAY - 1.day())],
    ] {
        let error = store.change_registry(placed(1, bad)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict(said) if said.contains("t-00001")),
            "{error}"
        );
    }
    let mut twice = placed(1, vec![since(1, TUESDAY)]);
    twice.placements.push((terminal(1), vec![]));
    assert!(matches!(
        store.change_registry(twice).await,
        Err(StoreError::Conflict(_))
    ));
    let found = store.terminal(&terminal(1)).await.unwrap().unwrap();
    assert_eq!(found.placements, good);
    // In any order given; listed in order of time.
    store
        .change_registry(placed(1, good.iter().rev().cloned().collect()))
        .await
        .unwrap();
    assert_eq!(
        store
            .terminal(&terminal(1))
            .await
            .unwrap()
            .unwrap()
            .placements,
        good
    );
    let error = store
        .set_calendar(&county(), "name = 7", 0)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Conflict(said) if said.contains("line 1")),
        "{error}"
    );
    store.close().await;
}

async fn ids(store: &dyn Store, filter: TerminalFilter) -> Vec<String> {
    let terminals = store.terminals(&filter).await.unwrap();
    terminals
        .iter()
        .map(|terminal: &Terminal| terminal.id.to_string())
        .collect()
}

pub(super) async fn lists_are_sorted_filtered_and_paged(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([2, 1])).await.unwrap();
    let codes: Vec<_> = store
        .schools(&county())
        .await
        .unwrap()
        .into_iter()
        .map(|school| school.code)
        .collect();
    assert_eq!(codes, [school(1), school(2)]);
    for number in [5, 3, 4, 1, 2] {
        store
            .commit(Batch {
                contacts: vec![contact(number, 1)],
                ..Batch::default()
            })
            .await
            .unwrap();
    }
    let moved = vec![
        between(1, date(2026, 3, 1), date(2026, 7, 1)),
        since(2, TUESDAY),
    ];
    store.change_registry(placed(3, moved)).await.unwrap();
    store
        .change_registry(placed(5, vec![since(2, TUESDAY)]))
        .await
        .unwrap();

    let all = TerminalFilter::default;
    assert_eq!(
        ids(&*store, all()).await,
        ["t-00001", "t-00002", "t-00003", "t-00004", "t-00005"]
    );
    let first = TerminalFilter {
        limit: Some(2),
        ..all()
    };
    assert_eq!(ids(&*store, first.clone()).await, ["t-00001", "t-00002"]);
    let next = TerminalFilter {
        after: Some(terminal(2)),
        ..first
    };
    assert_eq!(ids(&*store, next).await, ["t-00003", "t-00004"]);
    let pending = TerminalFilter {
        pending_only: true,
        ..all()
    };
    assert_eq!(
        ids(&*store, pending.clone()).await,
        ["t-00001", "t-00002", "t-00004"]
    );
    let pending = TerminalFilter {
        after: Some(terminal(1)),
        limit: Some(1),
        ..pending
    };
    assert_eq!(ids(&*store, pending).await, ["t-00002"]);
    let left = TerminalFilter {
        school: Some(school(1)),
        ..all()
    };
    assert_eq!(ids(&*store, left).await, ["t-00003"]);
    let there = TerminalFilter {
        school: Some(school(2)),
        ..all()
    };
    assert_eq!(ids(&*store, there.clone()).await, ["t-00003", "t-00005"]);
    let nobody = TerminalFilter {
        pending_only: true,
        ..there
    };
    assert!(ids(&*store, nobody).await.is_empty());
    let nowhere = TerminalFilter {
        school: Some(school(9)),
        ..all()
    };
    assert!(ids(&*store, nowhere).await.is_empty());
    store.close().await;
}

pub(super) async fn equal_service_spans_are_counted_together(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1, 2])).await.unwrap();
    let left = || vec![between(1, TUESDAY, TUESDAY + 9.days())];
    let rooms = |room: &str| {
        let mut placement = since(1, TUESDAY);
        room.clone_into(&mut placement.room);
        vec![placement]
    };
    for (number, placements) in [
        (1, rooms("101")),
        (2, rooms("102")),
        (3, left()),
        (4, left()),
        (5, left()),
        (6, vec![since(2, TUESDAY)]),
    ] {
        store
            .change_registry(placed(number, placements))
            .await
            .unwrap();
    }
    let span = |number, last: Date, terminals| ServiceSpan {
        school: school(number),
        service: Period {
            first: TUESDAY,
            last,
        },
        terminals,
    };
    let forever = date(9999, 12, 31);
    assert_eq!(
        store.service_spans(&county()).await.unwrap(),
        [
            span(1, TUESDAY + 9.days(), 3),
            span(1, forever, 2),
            span(2, forever, 1)
        ]
    );
    store.close().await;
}

pub(super) async fn every_change_raises_the_version(database: &Database) {
    let (store, other) = (database.open().await, database.open().await);
    let mut known = other.registry_version().await.unwrap();
    store.change_registry(schools([1])).await.unwrap();
    let changes = [
        RegistryChange {
            schools: vec![School {
                stage: Stage::Junior,
                ..primary(1)
            }],
            ..RegistryChange::default()
        },
        placed(1, vec![since(1, TUESDAY)]),
        placed(1, vec![]),
    ];
    for change in changes {
        store.change_registry(change).await.unwrap();
        let version = other.registry_version().await.unwrap();
        assert!(version > known);
        known = version;
    }
    assert_eq!(
        store
            .set_calendar(&county(), &calendar(16), 1)
            .await
            .unwrap(),
        1
    );
    let version = other.registry_version().await.unwrap();
    assert!(version > known);
    assert_eq!(
        store
            .set_calendar(&county(), &calendar(16), 2)
            .await
            .unwrap(),
        1,
        "the same text"
    );
    assert_eq!(other.registry_version().await.unwrap(), version);
    assert_eq!(
        other
            .set_calendar(&county(), &calendar(17), 3)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        store
            .set_calendar(&county(), &calendar(16), 4)
            .await
            .unwrap(),
        3,
        "back again"
    );
    let stored = other.calendar(&county()).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.text), (3, calendar(16)));
    assert_eq!(stored.calendar.name(), "试验");
    store.commit(day(9, TUESDAY, &used(1, 2))).await.unwrap();
    assert_eq!(
        store.registry_version().await.unwrap(),
        version + 2,
        "minutes are no change"
    );
    store.close().await;
    other.close().await;
}
