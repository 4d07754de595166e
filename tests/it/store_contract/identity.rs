//! Laws of enrolment: no use is spent twice, known hardware finds its terminal, a clone does not, and all of it moves.

use classpulse::{
    domain::{
        hardware::Hardware,
        ids::TerminalId,
        incident::{Incident, Kind},
    },
    store::{
        Batch, CodeFault, Contact, Enrolled, Enrolment, Key, KeyChange, NewCode, Record,
        RegistryChange, SharedStore, Store, StoreError,
    },
};
use jiff::ToSpan as _;

use super::{
    Database,
    fixtures::{TUESDAY, between, contact, day, placed, primary, school, schools, since, used},
    incidents::{everything, incidents, signal, telling},
};

/// 2026-09-01T08:00:00+08:00.
const NOW: i64 = 1_788_220_800;

pub(super) fn code(byte: u8, uses: u32) -> NewCode {
    NewCode {
        hash: [byte; 32],
        school: school(1),
        uses,
        created_at: NOW - 100,
        expires_at: NOW + 1_000,
    }
}

/// What the bureau sees beside known machines that got a new key.
async fn beside_new_keys(store: &dyn Store) -> Vec<Incident> {
    let mut all = incidents(store).await;
    all.retain(|one| one.kind != Kind::EnrolledAgain);
    all
}

fn hardware(number: u32) -> Hardware {
    let mark = |kind: u8| {
        let mut mark = [kind; 16];
        mark[..4].copy_from_slice(&number.to_be_bytes());
        mark
    };
    Hardware {
        board: Some(mark(0)),
        disk: Some(mark(1)),
        macs: vec![mark(2), mark(3)],
    }
}

pub(super) fn request(code: u8, number: u32) -> Enrolment {
    Enrolment {
        code: [code; 32],
        hardware: hardware(number),
        key: [u8::try_from(number % 251).unwrap(); 32],
        salted: [u8::try_from(number % 251).unwrap(); 76],
        room: "三年一班".to_owned(),
        at: NOW,
        today: TUESDAY,
    }
}

pub(super) fn name(enrolled: &Enrolled) -> (TerminalId, bool) {
    match enrolled {
        Enrolled::Done {
            terminal, known, ..
        } => (terminal.clone(), *known),
        Enrolled::Refused(fault) => panic!("{}", fault.said()),
    }
}

pub(super) async fn twenty_at_once_spend_five_uses(database: &Database) {
    let (store, other) = (database.open().await, database.open().await);
    store.change_registry(schools([1])).await.unwrap();
    let listed = store.add_code(code(1, 5)).await.unwrap();
    assert_eq!((listed.uses, listed.used, listed.revoked), (5, 0, false));
    let all = (0..20).map(|number| {
        let store = if number % 2 == 0 { &store } else { &other };
        // Each asks twice at once, as a machine whose answer is late does.
        async move {
            let (one, two) = (request(1, number), request(1, number));
            futures::future::join(store.enrol(one), store.enrol(two)).await
        }
    });
    let answers = futures::future::join_all(all).await;
    let mut names = Vec::new();
    for (one, two) in answers {
        match (one.unwrap(), two.unwrap()) {
            (Enrolled::Refused(one), Enrolled::Refused(two)) => {
                assert_eq!([one, two], [CodeFault::UsedUp; 2]);
            }
            (one, two) => {
                let ((first, known), (second, again)) = (name(&one), name(&two));
                assert_eq!(first, second);
                assert!(known != again, "one of the two was first");
                names.push(first.to_string());
            }
        }
    }
    names.sort();
    let expected: Vec<_> = (1..=5).map(|number| format!("XK-01-{number:04}")).collect();
    assert_eq!(names, expected);
    assert_eq!(store.codes(None).await.unwrap()[0].used, 5);
    let found = store.terminal(&names[0].parse().unwrap()).await.unwrap();
    let mut expected = since(1, TUESDAY);
    "三年一班".clone_into(&mut expected.room);
    assert_eq!(found.unwrap().placements, [expected]);
    assert_eq!(store.keys().await.unwrap().len(), 5);
    assert_eq!(beside_new_keys(&*store).await, [], "nothing to see");
    store.close().await;
    other.close().await;
}

/// The bureau sees that a known machine has a new key, once a day.
async fn told_once_a_day(store: &dyn Store, known: &TerminalId) {
    let mut once_more = request(1, 1);
    once_more.hardware.disk = hardware(9).disk;
    once_more.key = [77; 32];
    once_more.salted = [77; 76];
    store.enrol(once_more).await.unwrap();
    let told: Vec<_> = incidents(store)
        .await
        .into_iter()
        .map(|one| (one.terminal, one.kind))
        .collect();
    assert_eq!(told, [(known.clone(), Kind::EnrolledAgain)]);
}

pub(super) async fn known_hardware_finds_its_terminal_and_a_clone_does_not(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1, 2])).await.unwrap();
    store.add_code(code(1, 2)).await.unwrap();
    let version = store.identity_version().await.unwrap();
    let registry = store.registry_version().await.unwrap();
    let first = name(&store.enrol(request(1, 1)).await.unwrap());
    assert_eq!((first.0.as_str(), first.1), ("XK-01-0001", false));
    assert!(store.identity_version().await.unwrap() > version);
    assert!(store.registry_version().await.unwrap() > registry);
    // A clone has the disk's image, not the machine.
    let clone = name(&store.enrol(request(1, 2)).await.unwrap());
    assert_eq!((clone.0.as_str(), clone.1), ("XK-01-0002", false));
    // The code is used up for new machines, and costs a known one nothing, be its disk new as well.
    let third = store.enrol(request(1, 3)).await.unwrap();
    assert_eq!(third, Enrolled::Refused(CodeFault::UsedUp));
    let mut again = request(1, 1);
    again.hardware.disk = hardware(9).disk;
    again.key = [77; 32];
    again.salted = [77; 76];
    assert_eq!(
        name(&store.enrol(again).await.unwrap()),
        (first.0.clone(), true)
    );
    told_once_a_day(&*store, &first.0).await;
    let mut keys = store.keys().await.unwrap();
    keys.sort_by(|a, b| a.terminal.cmp(&b.terminal));
    let key = |terminal: &TerminalId, byte, changed_at| Key {
        terminal: terminal.clone(),
        hash: [byte; 32],
        salted: Some([byte; 76]),
        next: None,
        renew: false,
        revoked: false,
        enrolled_at: NOW,
        changed_at,
    };
    assert_eq!(
        keys,
        [key(&first.0, 77, NOW + 2), key(&clone.0, 2, NOW)],
        "every change is later than the one before"
    );
    // From now on it is known by the new disk; by that alone nobody is.
    let mut moved = request(1, 1);
    moved.hardware = Hardware {
        disk: hardware(9).disk,
        ..Hardware::default()
    };
    let refused = store.enrol(moved.clone()).await.unwrap();
    assert_eq!(refused, Enrolled::Refused(CodeFault::UsedUp));
    moved.hardware.board = hardware(1).board;
    assert_eq!(name(&store.enrol(moved).await.unwrap()).0, first.0);
    assert_eq!(beside_new_keys(&*store).await, []);

    // The registry has it elsewhere: the registry holds, and the bureau sees it.
    let history = vec![
        between(1, TUESDAY, TUESDAY + 3.days()),
        since(2, TUESDAY + 4.days()),
    ];
    let change = RegistryChange {
        placements: vec![(clone.0.clone(), history.clone())],
        ..Default::default()
    };
    store.change_registry(change).await.unwrap();
    let mut later = request(1, 2);
    later.today = TUESDAY + 5.days();
    later.at = NOW + 50;
    assert_eq!(
        name(&store.enrol(later).await.unwrap()),
        (clone.0.clone(), true)
    );
    let found = store.terminal(&clone.0).await.unwrap().unwrap();
    assert_eq!(found.placements, history);
    let told = beside_new_keys(&*store).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0].terminal, told[0].kind, told[0].received_at),
        (&clone.0, Kind::EnrolledElsewhere, NOW + 50)
    );

    // Half of the one and most of the other: the one that it is more like, and the bureau sees it.
    let mut mixed = request(1, 2);
    mixed.hardware.macs.extend(hardware(1).macs);
    mixed.hardware.board = None;
    mixed.hardware.macs.sort_unstable();
    mixed.at = NOW + 60;
    let mut single = request(1, 7);
    single.hardware = Hardware {
        macs: hardware(1).macs,
        ..Hardware::default()
    };
    // The first terminal told only its disk and board last: its adapters are not known any more.
    let refused = store.enrol(single).await.unwrap();
    assert_eq!(refused, Enrolled::Refused(CodeFault::UsedUp));
    store
        .enrol(request(1, 1))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(name(&store.enrol(mixed).await.unwrap()).0, clone.0);
    store.close().await;
}

pub(super) async fn hardware_of_two_terminals_is_told(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store.add_code(code(1, 9)).await.unwrap();
    let (one, two) = (request(1, 1), request(1, 2));
    store.enrol(one).await.unwrap();
    let second = name(&store.enrol(two).await.unwrap()).0;
    let mut both = request(1, 2);
    both.hardware.board = hardware(1).board;
    both.hardware.macs = vec![hardware(1).macs[0], hardware(2).macs[0]];
    // Two kinds of each: the one that enrolled last, here the higher number of those at one moment.
    both.at = NOW + 5;
    let found = name(&store.enrol(both).await.unwrap());
    assert!(found.1, "{second}");
    let told = beside_new_keys(&*store).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind, &told[0].terminal),
        (Kind::MixedHardware, &found.0)
    );
    store.close().await;
}

pub(super) async fn a_code_that_does_not_hold_is_refused(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1, 2])).await.unwrap();
    let nowhere = NewCode {
        school: school(9),
        ..code(9, 1)
    };
    let error = store.add_code(nowhere).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { what: "school", .. }),
        "{error}"
    );
    let one = store.add_code(code(1, 1)).await.unwrap();
    assert!(matches!(
        store.add_code(code(1, 1)).await.unwrap_err(),
        StoreError::Conflict(_)
    ));
    let other = NewCode {
        school: school(2),
        created_at: NOW,
        ..code(2, 3)
    };
    let two = store.add_code(other).await.unwrap();
    assert_eq!(store.codes(None).await.unwrap(), [two.clone(), one.clone()]);
    assert_eq!(store.codes(Some(&school(2))).await.unwrap(), [two]);

    let refused = async |request| match store.enrol(request).await.unwrap() {
        Enrolled::Refused(fault) => fault,
        done @ Enrolled::Done { .. } => panic!("{done:?}"),
    };
    assert_eq!(refused(request(8, 1)).await, CodeFault::Unknown);
    let mut late = request(1, 1);
    late.at = NOW + 1_000;
    assert_eq!(refused(late.clone()).await, CodeFault::Expired);
    store.revoke_code(one.id).await.unwrap();
    store.revoke_code(one.id).await.unwrap();
    assert_eq!(refused(request(1, 1)).await, CodeFault::Revoked);
    assert!(store.codes(Some(&school(1))).await.unwrap()[0].revoked);
    let error = store.revoke_code(999).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert!(store.keys().await.unwrap().is_empty());

    // A name that somebody took by an import or a first report is not given again.
    store
        .commit(Batch {
            contacts: vec![Contact {
                terminal: "XK-02-0007".parse().unwrap(),
                ..contact(1, NOW)
            }],
            ..Batch::default()
        })
        .await
        .unwrap();
    let enrolled = name(&store.enrol(request(2, 1)).await.unwrap());
    assert_eq!(enrolled.0.as_str(), "XK-02-0008");
    store.close().await;
}

/// What is kept of identities moves between stores, page by page, and pages may come again.
pub(super) async fn identities_move_with_the_county(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store.add_code(code(1, 3)).await.unwrap();
    let unused = store.add_code(code(2, 3)).await.unwrap();
    store.revoke_code(unused.id).await.unwrap();
    for number in 1..=3 {
        store.enrol(request(1, number)).await.unwrap();
    }
    store
        .commit(telling(vec![signal(1, NOW), signal(2, NOW)]))
        .await
        .unwrap();
    store
        .commit(day(1, TUESDAY, &used(480, 500)))
        .await
        .unwrap();
    let all = everything(&*store).await;
    let kind = |wanted: fn(&Record) -> bool| all.iter().filter(|one| wanted(one)).count();
    assert_eq!(kind(|one| matches!(one, Record::Code(_))), 2);
    assert_eq!(kind(|one| matches!(one, Record::Identity(_))), 3);
    assert_eq!(kind(|one| matches!(one, Record::Incident(_))), 2);

    let target = database.another();
    let other = target.open().await;
    for page in [all.chunks(4), all.chunks(3)] {
        for page in page {
            other.take_in(page.to_vec()).await.unwrap();
        }
    }
    assert_eq!(everything(&*other).await, all);
    let mut keys = other.keys().await.unwrap();
    let mut expected = store.keys().await.unwrap();
    keys.sort_by(|a, b| a.terminal.cmp(&b.terminal));
    expected.sort_by(|a, b| a.terminal.cmp(&b.terminal));
    assert_eq!(keys, expected);
    let enrolled = other.enrol(request(1, 2)).await.unwrap();
    assert_eq!(name(&enrolled).0.as_str(), "XK-01-0002");
    let refused = other.enrol(request(1, 4)).await.unwrap();
    assert_eq!(refused, Enrolled::Refused(CodeFault::UsedUp));

    // A revoked identity is not brought back by a code.
    let mut revoked = all.clone();
    for record in &mut revoked {
        if let Record::Identity(identity) = record {
            identity.revoked = true;
            identity.changed_at += 10;
        }
    }
    other.take_in(revoked).await.unwrap();
    assert!(other.keys().await.unwrap().iter().all(|key| key.revoked));
    let refused = other.enrol(request(1, 2)).await.unwrap();
    assert_eq!(refused, Enrolled::Refused(CodeFault::IdentityRevoked));
    // An older copy changes nothing.
    other.take_in(all).await.unwrap();
    assert!(other.keys().await.unwrap().iter().all(|key| key.revoked));
    store.close().await;
    other.close().await;
}

/// A terminal's only key.
async fn only_key(store: &SharedStore) -> Key {
    let mut keys = store.keys().await.unwrap();
    assert_eq!(keys.len(), 1);
    keys.remove(0)
}

pub(super) async fn keys_change_and_only_the_one_that_was_used_holds(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store.add_code(code(1, 3)).await.unwrap();
    let terminal = name(&store.enrol(request(1, 1)).await.unwrap()).0;
    let one = std::slice::from_ref(&terminal);
    let change = async |change| {
        let before = store.identity_version().await.unwrap();
        let was = only_key(&store).await.changed_at;
        let changed = store.change_keys(one, change, NOW).await.unwrap();
        let rose = store.identity_version().await.unwrap() > before;
        let later = only_key(&store).await.changed_at > was;
        assert_eq!((rose, later), (changed > 0, changed > 0), "{change:?}");
        changed
    };
    let offer = |shown, next| KeyChange::Offer {
        shown: [shown; 32],
        next: [next; 32],
        salted: [next; 76],
    };
    assert_eq!(change(offer(1, 8)).await, 0, "nobody asked for one");
    assert_eq!(change(KeyChange::Renew).await, 1);
    assert_eq!(change(KeyChange::Renew).await, 0, "it is asked already");
    assert_eq!(change(offer(9, 8)).await, 0, "another key is shown");
    assert_eq!(change(offer(1, 7)).await, 1);
    assert_eq!(change(offer(1, 8)).await, 1, "the answer was lost");
    assert_eq!(
        change(KeyChange::Use([7; 32])).await,
        0,
        "not the one that was given last"
    );
    let both = only_key(&store).await;
    assert_eq!(
        (both.hash, both.next, both.renew),
        ([1; 32], Some([8; 32]), true)
    );

    // As it is now it moves to another store, and a change there is not undone by an older copy.
    let copy = everything(&*store).await;
    let target = database.another();
    let other = target.open().await;
    other.take_in(copy.clone()).await.unwrap();
    assert_eq!(everything(&*other).await, copy);
    other
        .change_keys(one, KeyChange::Revoke, NOW)
        .await
        .unwrap();
    other.take_in(copy).await.unwrap();
    assert!(only_key(&other).await.revoked);
    other.close().await;

    assert_eq!(change(KeyChange::Use([8; 32])).await, 1);
    let used = only_key(&store).await;
    assert_eq!((used.hash, used.next, used.renew), ([8; 32], None, false));
    assert_eq!(used.salted, Some([8; 76]));
    assert_eq!(change(KeyChange::Use([8; 32])).await, 0);

    // A key that is revoked gives no new one, and a machine that enrols anew ends a renewal.
    assert_eq!(change(KeyChange::Renew).await, 1);
    assert_eq!(change(KeyChange::Revoke).await, 1);
    assert_eq!(change(KeyChange::Revoke).await, 0);
    assert_eq!(change(offer(8, 9)).await, 0);
    let refused = store.enrol(request(1, 1)).await.unwrap();
    assert_eq!(refused, Enrolled::Refused(CodeFault::IdentityRevoked));
    assert_eq!(change(KeyChange::Restore).await, 1);
    assert_eq!(change(offer(8, 9)).await, 1);
    store.enrol(request(1, 1)).await.unwrap();
    let anew = only_key(&store).await;
    assert_eq!((anew.hash, anew.next, anew.renew), ([1; 32], None, false));
    store.close().await;
}

pub(super) async fn keys_change_all_or_none(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store.add_code(code(1, 3)).await.unwrap();
    let mut terminals = Vec::new();
    for number in 1..=3 {
        terminals.push(name(&store.enrol(request(1, number)).await.unwrap()).0);
    }
    store
        .change_registry(placed(5, vec![since(1, TUESDAY)]))
        .await
        .unwrap();
    let version = store.identity_version().await.unwrap();
    // One that the registry knows and that has no key, and one that nobody knows.
    for nobody in ["t-00005", "nobody"] {
        let mut all = terminals.clone();
        all.push(nobody.parse().unwrap());
        let refused = store.change_keys(&all, KeyChange::Revoke, NOW).await;
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, StoreError::NotFound { id, .. } if id == nobody),
            "{error}"
        );
    }
    assert!(store.keys().await.unwrap().iter().all(|key| !key.revoked));
    assert_eq!(store.identity_version().await.unwrap(), version);
    store
        .change_keys(&terminals[..1], KeyChange::Revoke, NOW)
        .await
        .unwrap();
    let changed = store.change_keys(&terminals, KeyChange::Revoke, NOW).await;
    assert_eq!(changed.unwrap(), 2, "one was revoked already");
    assert_eq!(
        store.change_keys(&[], KeyChange::Renew, NOW).await.unwrap(),
        0
    );
    store.close().await;
}

/// A terminal that somebody named and placed before stays what it is; new ones do not collide with it.
pub(super) async fn a_school_may_be_renamed_and_keeps_its_codes(database: &Database) {
    let store = database.open().await;
    store.change_registry(schools([1])).await.unwrap();
    store.add_code(code(1, 3)).await.unwrap();
    let mut renamed = primary(1);
    "新名小学".clone_into(&mut renamed.name);
    let mut change = schools([]);
    change.schools.push(renamed.clone());
    store.change_registry(change).await.unwrap();
    store
        .change_registry(placed(5, vec![since(1, TUESDAY)]))
        .await
        .unwrap();
    match store.enrol(request(1, 1)).await.unwrap() {
        Enrolled::Done { school, .. } => assert_eq!(school, renamed),
        Enrolled::Refused(fault) => panic!("{}", fault.said()),
    }
    store.close().await;
}
