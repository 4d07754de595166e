//! Laws of what is recorded: a change and its entry in the audit log are one, whatever is refused, cut off or done at once.

use std::time::Duration;

use classpulse::store::{
    Account, Batch, Ends, Enrolled, Entry, KeyChange, Link, NewRun, NewToken, Put, PutAccount,
    Record, Recording, Refusal, Session, SharedStore, StoreError,
};
use futures::{FutureExt as _, future::BoxFuture};

use super::{
    Database,
    access::{self, account, login, verified},
    evaluation::{self, change, exclusion, filled, freezing},
    fixtures::{TUESDAY, calendar, county, schools, terminal},
    identity::{code, name, request},
    incidents::everything,
};

/// An entry that tells the number which the change gives.
fn telling(action: &'static str) -> Recording {
    Recording::numbered(move |number| Entry {
        at: 7,
        who: "wang".to_owned(),
        action: action.to_owned(),
        target: number.to_string(),
        ..Entry::default()
    })
}

/// What the log says, the oldest first: actions and numbers.
async fn said(store: &SharedStore) -> Vec<(String, String)> {
    let all = store.audit_after(0).await.unwrap();
    let said = all
        .into_iter()
        .map(|one| (one.entry.action, one.entry.target));
    said.collect()
}

const SESSION: [u8; 32] = [5; 32];
const LINK: [u8; 32] = [6; 32];

/// All that is kept, also what does not move with the rest.
async fn picture(store: &SharedStore) -> String {
    let rest = (
        store.tokens().await.unwrap(),
        store.session(SESSION).await.unwrap(),
        store.link(LINK).await.unwrap(),
        store.registry_version().await.unwrap(),
        store.identity_version().await.unwrap(),
    );
    format!("{:?}{rest:?}", everything(store.as_ref()).await)
}

/// Makes a change and returns the number that it gives, 0 for none.
type Change = fn(SharedStore) -> BoxFuture<'static, Result<i64, StoreError>>;

/// The run of the changes below.
const RUN: i64 = 1;

fn session() -> Session {
    Session {
        hash: SESSION,
        login: login("a1"),
        created_at: 10,
        seen_at: 10,
    }
}

/// The account, read and put with all that can go with it.
async fn put(store: SharedStore, with: impl FnOnce(&mut PutAccount)) -> Result<i64, StoreError> {
    let account = store.account(&login("a1")).await?.unwrap();
    let mut put = PutAccount::from(account);
    with(&mut put);
    assert_eq!(store.put_account(&put).await?, Put::Done);
    Ok(0)
}

async fn new_run(store: &SharedStore) -> Result<NewRun, StoreError> {
    let rubric = store.rubrics().await?[0].digest;
    Ok(evaluation::of_rubric(rubric, "一"))
}

fn first_administrator() -> Account {
    let mut first = account("boss");
    first.role = classpulse::domain::access::Role::Administrator;
    first.password = Some("$argon2id$…".to_owned());
    first
}

fn link(name: Option<&str>) -> Link {
    Link {
        hash: LINK,
        login: name.map(login),
        created_at: 1,
        expires_at: 9,
    }
}

/// Every kind of change that is recorded, each in the state that those before it leave.
const CHANGES: [(&str, Change); 24] = [
    ("registry", |store| {
        async move { store.change_registry(schools([3])).await.map(|()| 0) }.boxed()
    }),
    ("calendar", |store| {
        async move { store.set_calendar(&county(), &calendar(15), 1).await }.boxed()
    }),
    ("replay", |store| {
        async move {
            let waiting = store.quarantine(0, 9).await?;
            let batch = Batch {
                replayed: waiting.iter().map(|one| one.id).collect(),
                ..Batch::default()
            };
            store.commit(batch).await.map(|_| 0)
        }
        .boxed()
    }),
    ("evaluated", |store| {
        async move {
            let period = classpulse::domain::usage::Period {
                first: TUESDAY,
                last: TUESDAY,
            };
            store.note_evaluated(&county(), period).await.map(|()| 0)
        }
        .boxed()
    }),
    ("keep from", |store| {
        async move { store.keep_from(TUESDAY).await.map(|()| 0) }.boxed()
    }),
    ("code", |store| {
        async move { store.add_code(code(9, 2)).await.map(|code| code.id) }.boxed()
    }),
    ("code back", |store| {
        async move { store.revoke_code(1).await.map(|()| 0) }.boxed()
    }),
    ("keys", |store| {
        async move {
            let keys = store.keys().await?;
            let terminals: Vec<_> = keys.into_iter().map(|key| key.terminal).collect();
            let changed = store.change_keys(&terminals, KeyChange::Revoke, 9).await?;
            Ok(i64::from(changed))
        }
        .boxed()
    }),
    ("rubric", |store| {
        async move { store.put_rubric("name = \"新\"", 1).await.map(|_| 0) }.boxed()
    }),
    ("run", |store| {
        async move {
            let new = new_run(&store).await?;
            store.create_run(new).await.map(|run| run.id)
        }
        .boxed()
    }),
    ("evidence", |store| {
        async move {
            let changes = vec![change(1, "1.1.1", Some("{}"))];
            store.put_evidence(RUN, None, changes).await
        }
        .boxed()
    }),
    ("exclusion", |store| {
        async move { store.add_exclusion(RUN, exclusion(1)).await }.boxed()
    }),
    ("exclusion back", |store| {
        async move {
            let exclusion = store.exclusions(RUN).await?[0].id;
            store.remove_exclusion(RUN, exclusion).await.map(|()| 0)
        }
        .boxed()
    }),
    ("discard", |store| {
        async move { store.discard_run(RUN).await.map(|()| 0) }.boxed()
    }),
    ("another run", |store| {
        async move {
            let new = new_run(&store).await?;
            store.create_run(new).await.map(|run| run.id)
        }
        .boxed()
    }),
    ("freeze", |store| {
        async move {
            let run = store.runs(&county()).await?.remove(0);
            let freezing = freezing(run.id, run.revision, &[("run", "{}")]);
            store.freeze_run(freezing).await.map(|()| 0)
        }
        .boxed()
    }),
    ("account", |store| {
        async move { store.add_account(&account("a1")).await.map(|()| 0) }.boxed()
    }),
    ("link", |store| {
        async move { store.put_link(&link(Some("a1"))).await.map(|()| 0) }.boxed()
    }),
    ("set up", |store| {
        put(store, |put| {
            put.account.password = Some("$argon2id$…".to_owned());
            put.begins = Some((session(), 0));
            put.link = Some(LINK);
        })
        .boxed()
    }),
    ("locked", |store| {
        put(store, |put| {
            put.account.locked = true;
            put.ends = Ends::AllBut(None);
        })
        .boxed()
    }),
    ("token", |store| {
        async move {
            let token = NewToken {
                name: login("exchange"),
                hash: [1; 32],
                role: classpulse::domain::access::Role::Viewer,
                scope: classpulse::domain::access::Scope::All,
                created_at: 1,
                expires_at: 9,
            };
            store.add_token(&token).await.map(|token| token.id)
        }
        .boxed()
    }),
    ("token back", |store| {
        async move {
            let token = store.tokens().await?[0].id;
            store.revoke_token(token).await.map(|token| token.id)
        }
        .boxed()
    }),
    ("first link", |store| {
        async move { store.put_link(&link(None)).await.map(|()| 0) }.boxed()
    }),
    ("first", |store| {
        async move {
            let first = first_administrator();
            assert!(store.add_first(&first, LINK).await?);
            Ok(0)
        }
        .boxed()
    }),
];

/// A county with a terminal that has a key, a code, a rubric, and an entry in the quarantine.
async fn prepared(database: &Database) -> SharedStore {
    let store = filled(database).await;
    let key = store.add_code(code(1, 5)).await.unwrap().id;
    assert_eq!(key, 1);
    let enrolled: Enrolled = store.enrol(request(1, 1)).await.unwrap();
    assert!(!name(&enrolled).1);
    store.put_rubric("name = \"细则\"", 0).await.unwrap();
    let refusal = Refusal {
        terminal: terminal(1).to_string(),
        fingerprint: vec![1],
        reason: "too_large".to_owned(),
        detail: "很大".to_owned(),
        payload: vec![1],
        received_at: 7,
        received_day: TUESDAY,
    };
    let batch = Batch {
        quarantined: vec![refusal],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    store
}

/// The log takes nothing more, as a full disk would not.
async fn close_log(database: &Database) {
    let sql = match database {
        Database::Sqlite(_) => {
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
        }
        Database::Postgres(_) => {
            "CREATE OR REPLACE FUNCTION refuse_entry() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE EXCEPTION 'full'; END $$;
             CREATE TRIGGER is_full BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse_entry()"
        }
    };
    access::sql(database, sql).await.unwrap();
}

async fn open_log(database: &Database) {
    let sql = match database {
        Database::Sqlite(_) => "DROP TRIGGER full",
        Database::Postgres(_) => "DROP TRIGGER is_full ON audit",
    };
    access::sql(database, sql).await.unwrap();
}

pub(super) async fn a_change_stands_with_its_entry_only(database: &Database) {
    let store = prepared(database).await;
    let mut expected = Vec::new();
    for (action, change) in CHANGES {
        let before = picture(&store).await;
        close_log(database).await;
        let refused = change(store.recording(telling(action))).await;
        assert!(refused.is_err(), "{action} without an entry: {refused:?}");
        assert_eq!(picture(&store).await, before, "{action} without its entry");
        open_log(database).await;
        let number = change(store.recording(telling(action))).await;
        let number = number.unwrap_or_else(|error| panic!("{action}: {error}"));
        assert_ne!(picture(&store).await, before, "{action} changes something");
        let (told, number) = (said(&store).await, number.to_string());
        let (last, earlier) = told.split_last().unwrap();
        assert_eq!(earlier, expected, "{action} has one entry");
        assert_eq!(last.0, action);
        let gives_none = number == "0" || ["evidence", "token back"].contains(&action);
        assert!(gives_none || last.1 == number, "{action}: {last:?}");
        expected = told;
    }
    assert_eq!(verified(&store).await.faults, []);
    store.close().await;
}

pub(super) async fn what_changes_nothing_leaves_no_entry(database: &Database) {
    let store = prepared(database).await;
    let recording = || store.recording(telling("refused"));
    let missing = recording().revoke_code(99).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    let unknown = recording()
        .change_keys(&[terminal(77)], KeyChange::Renew, 9)
        .await;
    assert!(unknown.is_err());
    store.add_account(&account("a1")).await.unwrap();
    let taken = recording().add_account(&account("a1")).await.unwrap_err();
    assert!(matches!(taken, StoreError::Conflict(_)), "{taken}");
    let mut late = PutAccount::from(account("a1"));
    late.account.revision = 7;
    assert_eq!(
        recording().put_account(&late).await.unwrap(),
        Put::Overtaken
    );
    late.account.revision = 0;
    late.link = Some(LINK);
    assert_eq!(recording().put_account(&late).await.unwrap(), Put::LinkGone);
    let first = first_administrator();
    assert!(!recording().add_first(&first, LINK).await.unwrap());
    // Known already.
    recording().put_rubric("name = \"细则\"", 9).await.unwrap();
    assert_eq!(said(&store).await, []);
    // A view of a view tells both, in order, and asking tells nothing.
    let both = recording().recording(telling("second"));
    assert_eq!(both.rubrics().await.unwrap().len(), 1);
    both.put_rubric("name = \"新\"", 9).await.unwrap();
    let told: Vec<_> = said(&store).await.into_iter().map(|one| one.0).collect();
    assert_eq!(told, ["refused", "second"]);
    store.close().await;
}

/// Where each of the changes below is let go of: after so many looks at it.
const MOST_LOOKS: usize = 24;

pub(super) async fn a_change_cut_off_has_its_entry_or_is_absent(database: &Database) {
    let (mut cut, mut done) = (0, 0);
    for looks in 0..MOST_LOOKS {
        let store = database.open().await;
        store.change_registry(schools([1])).await.unwrap();
        let made = schools([100 + u32::try_from(looks).unwrap()]);
        let view = store.recording(telling("registry"));
        let mut changing = view.change_registry(made).boxed();
        let mut ended = false;
        for look in 0..=looks {
            if futures::poll!(&mut changing).is_ready() {
                ended = true;
                break;
            }
            // Unequal pauses, so that it is let go of in the middle of a statement too.
            tokio::time::sleep(Duration::from_micros(150 * (look as u64 % 4))).await;
        }
        if ended {
            done += 1;
        } else {
            cut += 1;
        }
        drop(changing);
        drop(view);
        drop(store);
        let store = database.open().await;
        // Seen at one moment, whatever still ends in the background.
        let all = everything(store.as_ref()).await;
        let count = |wanted: fn(&Record) -> bool| all.iter().filter(|one| wanted(one)).count();
        let made = count(|one| matches!(one, Record::School(_))) - 1;
        let told = count(|one| matches!(one, Record::Recorded(_)));
        assert_eq!(made, told, "after {looks} looks");
        assert!(made >= done, "what was told as done is there");
        store.close().await;
    }
    assert!(cut > 0, "nothing was cut off");
    let store = database.open().await;
    assert_eq!(verified(&store).await.faults, []);
    store.close().await;
}

pub(super) async fn changes_of_two_writers_make_one_chain(database: &Database) {
    let (store, other) = (prepared(database).await, database.open().await);
    let known = store.schools(&county()).await.unwrap().len();
    let writers = (0..60_u32).map(|number| {
        let to = [&store, &other][number as usize % 2].clone();
        // Changes that take different locks, all of which meet at the log's end.
        async move {
            match number % 5 {
                0 => {
                    let view = to.recording(telling("registry"));
                    view.change_registry(schools([100 + number])).await.unwrap();
                }
                1 => {
                    let view = to.recording(telling("code"));
                    let byte = u8::try_from(100 + number).unwrap();
                    view.add_code(code(byte, 1)).await.unwrap();
                }
                2 => {
                    let mut new = new_run(&to).await.unwrap();
                    new.key = format!("{number}");
                    let view = to.recording(telling("run"));
                    view.create_run(new).await.unwrap();
                }
                3 => {
                    let keys = to.keys().await.unwrap();
                    let view = to.recording(telling("keys"));
                    let renew = KeyChange::Renew;
                    view.change_keys(&[keys[0].terminal.clone()], renew, 9)
                        .await
                        .unwrap();
                }
                _ => drop(to.record(&access::entry(i64::from(number))).await.unwrap()),
            }
        }
    });
    futures::future::join_all(writers).await;
    let found = verified(&other).await;
    assert_eq!((found.entries, found.faults), (60, Vec::new()));
    let made = store.schools(&county()).await.unwrap().len() - known;
    assert_eq!(made, 12);
    for action in ["registry", "code", "run", "keys"] {
        let told = said(&store).await;
        let told: Vec<_> = told.iter().filter(|one| one.0 == action).collect();
        assert_eq!(told.len(), 12, "{action}");
    }
    store.close().await;
    other.close().await;
}
