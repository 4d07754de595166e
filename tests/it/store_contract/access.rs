//! Laws of people: accounts change one after the other, a link is used once, and no edit, gap or cut of the audit log stays
//! unseen.

use classpulse::{
    access::{self, Verified},
    domain::{
        access::{Role, Scope},
        ids::Login,
    },
    store::{
        Account, AuditFilter, Ends, Entry, Fault, Head, Link, NewToken, Put, PutAccount, Session,
        SharedStore, StoreError,
    },
};

use super::{Database, incidents::everything};

pub(super) fn login(name: &str) -> Login {
    name.parse().unwrap()
}

pub(super) fn account(name: &str) -> Account {
    let scope: Scope = "township:231123/奇克镇".parse().unwrap();
    Account::new(login(name), Role::Viewer, scope, 100)
}

pub(super) async fn accounts_change_one_after_the_other(database: &Database) {
    let (store, other) = (database.open().await, database.open().await);
    assert_eq!(store.account(&login("a1")).await.unwrap(), None);
    for name in ["b-2", "a1"] {
        store.add_account(&account(name)).await.unwrap();
    }
    let again = store.add_account(&account("a1")).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict(_)), "{again}");
    let names: Vec<_> = store.accounts().await.unwrap();
    let names: Vec<_> = names.iter().map(|one| one.login.as_str()).collect();
    assert_eq!(names, ["a1", "b-2"]);
    // Twenty count up at once, each from what it read: none is lost.
    let count = async |store: &SharedStore| {
        loop {
            let mut one = store.account(&login("a1")).await.unwrap().unwrap();
            one.failures += 1;
            if store.put_account(&one.into()).await.unwrap() == Put::Done {
                break;
            }
        }
    };
    futures::future::join_all((0..20).map(|number| count([&store, &other][number % 2]))).await;
    let mut kept = store.account(&login("a1")).await.unwrap().unwrap();
    assert_eq!((kept.failures, kept.revision), (20, 20));
    kept.role = Role::Evaluator;
    kept.scope = "county:231123".parse().unwrap();
    (kept.password, kept.password_at) = (Some("$argon2id$…".to_owned()), Some(5));
    (kept.locked, kept.failed_at, kept.login_at) = (true, 7, Some(9));
    let put = PutAccount::from(kept.clone());
    assert_eq!(store.put_account(&put).await.unwrap(), Put::Done);
    let again = store.put_account(&put).await.unwrap();
    assert_eq!(again, Put::Overtaken, "read too early");
    kept.revision += 1;
    assert_eq!(other.account(&login("a1")).await.unwrap(), Some(kept));
    let unknown = account("nobody").into();
    assert_eq!(store.put_account(&unknown).await.unwrap(), Put::Overtaken);
    store.close().await;
    other.close().await;
}

pub(super) async fn sessions_end(database: &Database) {
    let store = database.open().await;
    store.add_account(&account("a1")).await.unwrap();
    store.add_account(&account("b2")).await.unwrap();
    let session = |byte: u8, name: &str, at: i64| Session {
        hash: [byte; 32],
        login: login(name),
        created_at: at,
        seen_at: at,
    };
    for (byte, name, at) in [(1, "a1", 10), (2, "a1", 20), (3, "a1", 30), (4, "b2", 30)] {
        let begins = Some((session(byte, name, at), 20));
        put(&store, name, |put| put.begins = begins).await;
    }
    assert_eq!(store.session([1; 32]).await.unwrap(), None, "it was stale");
    store.touch_session([2; 32], 50).await.unwrap();
    store.touch_session([2; 32], 40).await.unwrap();
    let (found, whose) = store.session([2; 32]).await.unwrap().unwrap();
    assert_eq!((found.created_at, found.seen_at), (20, 50));
    assert_eq!(whose.login, login("a1"));
    put(&store, "a1", |put| put.ends = Ends::AllBut(Some([3; 32]))).await;
    assert_eq!(store.session([2; 32]).await.unwrap(), None);
    assert!(store.session([3; 32]).await.unwrap().is_some());
    for _ in 0..2 {
        store.end_session([3; 32]).await.unwrap();
    }
    assert_eq!(store.session([3; 32]).await.unwrap(), None);
    put(&store, "a1", |_| ()).await;
    assert!(store.session([4; 32]).await.unwrap().is_some());
    put(&store, "b2", |put| put.ends = Ends::AllBut(None)).await;
    assert_eq!(store.session([4; 32]).await.unwrap(), None);
    store.close().await;
}

/// Changes an account, with what goes with it.
async fn put(store: &SharedStore, name: &str, with: impl FnOnce(&mut PutAccount)) {
    let account = store.account(&login(name)).await.unwrap().unwrap();
    let mut put = PutAccount::from(account);
    with(&mut put);
    assert_eq!(store.put_account(&put).await.unwrap(), Put::Done);
}

pub(super) async fn a_token_holds_until_it_is_taken_back(database: &Database) {
    let store = database.open().await;
    let new = |byte: u8, name: &str| NewToken {
        name: login(name),
        hash: [byte; 32],
        role: Role::Registrar,
        scope: Scope::All,
        created_at: 1,
        expires_at: 9,
    };
    let kept = store.add_token(&new(1, "exchange")).await.unwrap();
    assert_eq!(
        (kept.used_at, kept.revoked, kept.expires_at),
        (None, false, 9)
    );
    let again = store.add_token(&new(2, "exchange")).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict(_)), "{again}");
    store.touch_token(kept.id, 6).await.unwrap();
    store.touch_token(kept.id, 5).await.unwrap();
    let found = store.token([1; 32]).await.unwrap().unwrap();
    assert_eq!((found.used_at, &found.name), (Some(6), &kept.name));
    assert_eq!(store.token([2; 32]).await.unwrap(), None);
    for _ in 0..2 {
        assert!(store.revoke_token(kept.id).await.unwrap().revoked);
    }
    let unknown = store.revoke_token(99).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
    // The name is free again.
    store.add_token(&new(2, "exchange")).await.unwrap();
    let listed: Vec<_> = store.tokens().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|one| one.revoked).collect();
    assert_eq!(listed, [false, true]);
    store.close().await;
}

pub(super) async fn a_link_is_used_once(database: &Database) {
    let (store, other) = (database.open().await, database.open().await);
    store.add_account(&account("a1")).await.unwrap();
    let link = |byte: u8, name: Option<&str>| Link {
        hash: [byte; 32],
        login: name.map(login),
        created_at: 1,
        expires_at: 9,
    };
    let unknown = store.put_link(&link(1, Some("b2"))).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
    for (byte, name) in [(1, Some("a1")), (2, None), (3, Some("a1")), (4, None)] {
        store.put_link(&link(byte, name)).await.unwrap();
    }
    for byte in [1, 2] {
        assert_eq!(store.link([byte; 32]).await.unwrap(), None, "replaced");
    }
    let kept = store.link([3; 32]).await.unwrap();
    assert_eq!(kept, Some(link(3, Some("a1"))));
    // Another's link sets nobody else up.
    store.add_account(&account("b2")).await.unwrap();
    let mut others = PutAccount::from(account("b2"));
    for byte in [3, 4] {
        others.link = Some([byte; 32]);
        assert_eq!(store.put_account(&others).await.unwrap(), Put::LinkGone);
    }
    // Twenty come with it, each until they hear that it is theirs or gone.
    let all = (0..20).map(|number| {
        let store = [&store, &other][number % 2];
        async move {
            loop {
                let found = store.account(&login("a1")).await.unwrap().unwrap();
                let mut put = PutAccount::from(found);
                put.account.failures += 1;
                put.link = Some([3; 32]);
                match store.put_account(&put).await.unwrap() {
                    Put::Overtaken => {}
                    put => break put,
                }
            }
        }
    });
    let all = futures::future::join_all(all).await;
    let taken = all.iter().filter(|one| **one == Put::Done).count();
    assert_eq!(taken, 1);
    let kept = store.account(&login("a1")).await.unwrap().unwrap();
    assert_eq!(kept.failures, 1);
    assert_eq!(store.link([4; 32]).await.unwrap(), Some(link(4, None)));
    store.close().await;
    other.close().await;
}

pub(super) fn entry(number: i64) -> Entry {
    Entry {
        at: 1_000 + number,
        who: ["wang", "li"][usize::try_from(number % 2).unwrap()].to_owned(),
        origin: "192.0.2.1".to_owned(),
        action: if number < 10 { "account.add" } else { "login" }.to_owned(),
        target: format!("对象 {number}"),
        before: String::new(),
        after: "{\"a\":\"\u{1}'\\\"\"}".to_owned(),
    }
}

pub(super) async fn verified(store: &SharedStore) -> Verified {
    access::verify(store.as_ref(), None).await.unwrap()
}

pub(super) async fn two_writers_make_one_chain(database: &Database) {
    let (store, other) = (database.open().await, database.open().await);
    assert_eq!(verified(&store).await.head, Head::NONE);
    let writers = (0..40).map(|number| {
        let store = [&store, &other][usize::try_from(number % 2).unwrap()];
        async move { store.record(&entry(number)).await.unwrap().number }
    });
    let mut numbers = futures::future::join_all(writers).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let found = verified(&other).await;
    assert_eq!((found.entries, found.head.number), (40, 40));
    assert_eq!(found.faults, []);
    let asked = async |filter: AuditFilter| {
        let found = store.audit(&filter).await.unwrap();
        found.into_iter().map(|one| one.entry).collect::<Vec<_>>()
    };
    let all = asked(AuditFilter::default()).await;
    let mut sorted = all.clone();
    sorted.sort_by_key(|entry| entry.at);
    assert_eq!(sorted, (0..40).map(entry).collect::<Vec<_>>());
    let some = AuditFilter {
        since: 1_002,
        until: 1_020,
        who: Some("wang".to_owned()),
        action: Some("account.".to_owned()),
        limit: 3,
    };
    let some = asked(some).await;
    assert_eq!(some.len(), 3);
    assert!(
        some.iter()
            .all(|one| one.who == "wang" && (1_002..1_010).contains(&one.at))
    );
    store.close().await;
    other.close().await;
}

/// Runs SQL past the store, as somebody with the database's password would.
pub(super) async fn sql(database: &Database, sql: &str) -> Result<(), String> {
    let name = database.name();
    match database {
        Database::Sqlite(_) => {
            let connection = rusqlite::Connection::open(name).unwrap();
            connection
                .execute_batch(sql)
                .map_err(|error| error.to_string())
        }
        Database::Postgres(_) => {
            let connected = tokio_postgres::connect(&name, tokio_postgres::NoTls).await;
            let (client, connection) = connected.unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own task")]
            let running = tokio::spawn(connection);
            let done = client.batch_execute(sql).await;
            drop(client);
            running.await.unwrap().unwrap();
            done.map_err(|error| error.as_db_error().unwrap().message().to_owned())
        }
    }
}

pub(super) async fn tampering_with_the_log_is_found(database: &Database) {
    let store = database.open().await;
    for number in 0..6 {
        store.record(&entry(number)).await.unwrap();
    }
    let end = verified(&store).await.head;
    // The database itself refuses first.
    for refused in [
        "UPDATE audit SET who = 'x' WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
    ] {
        let said = sql(database, refused).await.unwrap_err();
        assert!(said.contains("append-only"), "{said}");
    }
    let (drop_triggers, copy) = match database {
        Database::Sqlite(_) => (
            "DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_cut;",
            "CREATE TABLE whole AS SELECT * FROM audit; CREATE TABLE ended AS SELECT * FROM meta;",
        ),
        Database::Postgres(_) => (
            "DROP TRIGGER audit_is_not_edited ON audit; DROP TRIGGER audit_is_not_emptied ON audit;",
            "CREATE TABLE whole AS SELECT * FROM audit; CREATE TABLE ended AS SELECT * FROM meta;",
        ),
    };
    sql(database, drop_triggers).await.unwrap();
    sql(database, copy).await.unwrap();
    let zero = match database {
        Database::Sqlite(_) => "zeroblob(32)",
        Database::Postgres(_) => "decode(repeat('00', 32), 'hex')",
    };
    let edited = |number| vec![Fault::Edited(number)];
    let cases = [
        ("UPDATE audit SET at = at + 1 WHERE number = 3".to_owned(), edited(3)),
        ("UPDATE audit SET who = 'li' WHERE number = 3".to_owned(), edited(3)),
        ("UPDATE audit SET origin = '' WHERE number = 3".to_owned(), edited(3)),
        ("UPDATE audit SET action = 'x' WHERE number = 3".to_owned(), edited(3)),
        ("UPDATE audit SET target = 'x' WHERE number = 3".to_owned(), edited(3)),
        ("UPDATE audit SET before = 'x' WHERE number = 3".to_owned(), edited(3)),
        ("UPDATE audit SET after = '' WHERE number = 1".to_owned(), edited(1)),
        (
            format!("UPDATE audit SET hash = {zero} WHERE number = 3"),
            vec![Fault::Edited(3), Fault::Edited(4)],
        ),
        (
            "DELETE FROM audit WHERE number IN (3, 4)".to_owned(),
            vec![Fault::Gap { from: 3, to: 4 }],
        ),
        (
            "DELETE FROM audit WHERE number = 1".to_owned(),
            vec![Fault::Gap { from: 1, to: 1 }],
        ),
        (
            "DELETE FROM audit WHERE number = 6".to_owned(),
            vec![Fault::End { found: 5, kept: 6 }],
        ),
        (
            "DELETE FROM audit".to_owned(),
            vec![Fault::End { found: 0, kept: 6 }],
        ),
        (
            "INSERT INTO audit SELECT 7, at, who, origin, action, target, before, after, hash FROM audit WHERE number = 6"
                .to_owned(),
            vec![Fault::Edited(7), Fault::End { found: 7, kept: 6 }],
        ),
        (
            // Two change places.
            "UPDATE audit SET number = 100 WHERE number = 2; UPDATE audit SET number = 2 WHERE number = 3;
             UPDATE audit SET number = 3 WHERE number = 100"
                .to_owned(),
            vec![Fault::Edited(2), Fault::Edited(3), Fault::Edited(4)],
        ),
    ];
    for (tampering, expected) in cases {
        sql(database, &tampering).await.unwrap();
        let found = verified(&store).await;
        assert_eq!(found.faults, expected, "{tampering}");
        let mend = "DELETE FROM audit; INSERT INTO audit SELECT * FROM whole;";
        sql(database, mend).await.unwrap();
        assert_eq!(verified(&store).await.faults, [], "after {tampering}");
    }
    // Cut off with the end beside it: only what was noted elsewhere tells.
    let cut = "DELETE FROM audit WHERE number > 4;
        UPDATE meta SET audit_number = 4, audit_hash = (SELECT hash FROM audit WHERE number = 4)";
    sql(database, cut).await.unwrap();
    assert_eq!(verified(&store).await.faults, []);
    let noted = access::verify(store.as_ref(), Some(end)).await.unwrap();
    assert_eq!(noted.faults, [Fault::End { found: 4, kept: 6 }]);
    store.close().await;
}

pub(super) async fn people_move_with_the_log(database: &Database) {
    let store = database.open().await;
    store.add_account(&account("a1")).await.unwrap();
    for number in 0..3 {
        store.record(&entry(number)).await.unwrap();
    }
    let pages = everything(&*store).await;
    let other = database.another();
    let taken = other.open().await;
    for _ in 0..2 {
        taken.take_in(pages.clone()).await.unwrap();
    }
    assert_eq!(everything(&*taken).await, pages);
    assert_eq!(verified(&taken).await, verified(&store).await);
    // The log goes on from there, and another's is refused.
    taken.record(&entry(7)).await.unwrap();
    assert_eq!(verified(&taken).await.faults, []);
    let third = database.another().open().await;
    third.record(&entry(9)).await.unwrap();
    let refused = third.take_in(pages).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    store.close().await;
    taken.close().await;
    third.close().await;
}
