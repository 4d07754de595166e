//! Laws of administrators who act at once, each through a process of their own: one of them always stays, a link is used
//! once, and nobody's change is lost.

use std::sync::Arc;

use classpulse::{
    access::{Access, AccessError, AccountChange, acting},
    clock::SystemClock,
    domain::{
        access::{Role, Scope},
        ids::Login,
    },
    store::{Account, AuditFilter, Entry, Link, Put, PutAccount, SharedStore},
};
use futures::future::{join, join_all};

use super::{
    Database,
    access::{account, login, verified},
};

const PASSWORD: &str = "Xunke-2026-yes";

/// Two processes on one database.
struct Two {
    stores: [SharedStore; 2],
    processes: [Arc<Access>; 2],
}

impl Two {
    async fn open(database: &Database) -> Self {
        let stores = [database.open().await, database.open().await];
        let open = |store: &SharedStore| Access::new(store.clone(), Arc::new(SystemClock));
        let processes = [open(&stores[0]), open(&stores[1])];
        Self { stores, processes }
    }

    /// What was recorded of an action, the oldest first.
    async fn entries(&self, action: &str) -> Vec<Entry> {
        let filter = AuditFilter {
            action: Some(action.to_owned()),
            ..AuditFilter::default()
        };
        let mut found = self.stores[0].audit(&filter).await.unwrap();
        found.reverse();
        found.into_iter().map(|one| one.entry).collect()
    }

    async fn close(self) {
        assert_eq!(verified(&self.stores[1]).await.faults, []);
        for store in self.stores {
            store.close().await;
        }
    }
}

fn administrator(name: &str) -> Account {
    let mut one = account(name);
    one.role = Role::Administrator;
    one.scope = Scope::All;
    one.password = Some("$argon2id$…".to_owned());
    one
}

pub(super) async fn one_administrator_stays(database: &Database) {
    let two = Two::open(database).await;
    let [one, other] = &two.processes;
    for name in ["a1", "b2"] {
        let new = administrator(name);
        two.stores[0].add_account(&new).await.unwrap();
    }
    let locked = |locked| AccountChange {
        locked: Some(locked),
        ..AccountChange::default()
    };
    let (a, b) = (login("a1"), login("b2"));
    for round in 0..20 {
        // Locked or reset, each by the other at the same time.
        let away = async |access: &Access, name: &Login| -> Result<(), AccessError> {
            if round % 2 == 0 {
                access.change_account(name, &locked(true)).await.map(drop)
            } else {
                access.reset(name).await.map(drop)
            }
        };
        let (first, second) = join(away(one, &b), away(other, &a)).await;
        let accounts = one.accounts().await.unwrap();
        let left = accounts.iter().filter(|one| one.administers()).count();
        assert_eq!(left, 1, "round {round}: {first:?} {second:?}");
        let refused = [first, second].into_iter().filter_map(Result::err);
        let refused: Vec<_> = refused.map(|error| error.to_string()).collect();
        assert!(
            matches!(&refused[..], [said] if said.contains("至少要有一个")),
            "round {round}: {refused:?}"
        );
        for name in [&a, &b] {
            let kept = two.stores[0].account(name).await.unwrap().unwrap();
            let mut back = PutAccount::from(kept);
            back.account.locked = false;
            back.account.password = administrator("a1").password;
            let put = two.stores[0].put_account(&back).await.unwrap();
            assert_eq!(put, Put::Done);
        }
    }
    // Neither may be reset where the other is locked.
    one.change_account(&a, &locked(true)).await.unwrap();
    let last = other.reset(&b).await.unwrap_err();
    assert!(matches!(last, AccessError::Unfit(_)), "{last}");
    two.close().await;
}

pub(super) async fn the_first_administrator_is_one(database: &Database) {
    let two = Two::open(database).await;
    let [one, other] = &two.processes;
    let (first, second) = join(one.first_link(), other.first_link()).await;
    let links = [first.unwrap().unwrap(), second.unwrap().unwrap()];
    // Everybody tries both links, of which one has replaced the other.
    let tries = (0..4).map(|number| {
        let (access, link) = (&two.processes[number % 2], &links[number / 2]);
        let code = link.path.trim_start_matches("/setup/");
        async move {
            access
                .set_up(code, &format!("boss{number}"), PASSWORD)
                .await
        }
    });
    let tries = join_all(tries).await;
    let done: Vec<_> = tries.iter().filter_map(|one| one.as_ref().ok()).collect();
    assert_eq!(done.len(), 1, "{tries:?}");
    let refused = tries.iter().filter_map(|one| one.as_ref().err());
    for error in refused {
        assert!(matches!(error, AccessError::Link), "{error}");
    }
    let accounts = one.accounts().await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].login, *done[0]);
    assert_eq!(two.entries("account.setup").await.len(), 1);
    // A link that a slow process makes still opens nothing.
    let late = Link {
        hash: [9; 32],
        login: None,
        created_at: 1,
        expires_at: i64::MAX,
    };
    two.stores[1].put_link(&late).await.unwrap();
    let again = administrator("late");
    assert!(!two.stores[0].add_first(&again, [9; 32]).await.unwrap());
    assert_eq!(one.accounts().await.unwrap().len(), 1);
    two.close().await;
}

pub(super) async fn two_at_once_change_one_account(database: &Database) {
    let two = Two::open(database).await;
    let [one, other] = &two.processes;
    let mut new = account("a1");
    new.scope = Scope::All;
    two.stores[0].add_account(&new).await.unwrap();
    let a = login("a1");
    for round in 0..10 {
        let role = AccountChange {
            role: Some([Role::Evaluator, Role::Viewer][round % 2]),
            ..AccountChange::default()
        };
        let scope: Scope = ["county:231123", "all"][round % 2].parse().unwrap();
        let scope = AccountChange {
            scope: Some(scope),
            ..AccountChange::default()
        };
        let done = join(
            one.change_account(&a, &role),
            other.change_account(&a, &scope),
        )
        .await;
        done.0.unwrap();
        done.1.unwrap();
        let kept = &one.accounts().await.unwrap()[0];
        assert_eq!(Some(kept.role), role.role, "round {round}");
        assert_eq!(Some(&kept.scope), scope.scope.as_ref(), "round {round}");
    }
    // Each entry begins where the one before ended: none tells of a state that never was.
    let told = two.entries("account.change").await;
    assert_eq!(told.len(), 20);
    for pair in told.windows(2) {
        assert_eq!(pair[0].after, pair[1].before);
    }
    two.close().await;
}

pub(super) async fn one_set_up_link_sets_one_password(database: &Database) {
    let two = Two::open(database).await;
    let [one, other] = &two.processes;
    let link = one.add(&login("a1"), Role::Viewer, Scope::All).await;
    let path = link.unwrap().path;
    let code = path.trim_start_matches("/setup/");
    let passwords = [0, 1, 2, 3].map(|number| format!("{PASSWORD}-{number}"));
    let tries = passwords.iter().enumerate().map(|(number, password)| {
        let access = &two.processes[number % 2];
        async move { access.set_up(code, "", password).await }
    });
    let tries = join_all(tries).await;
    let done: Vec<_> = (0..4).filter(|number| tries[*number].is_ok()).collect();
    assert_eq!(done.len(), 1, "{tries:?}");
    for error in tries.iter().filter_map(|one| one.as_ref().err()) {
        assert!(matches!(error, AccessError::Link), "{error}");
    }
    for (number, password) in passwords.iter().enumerate() {
        let entered = other.log_in("a1", password, "192.0.2.1").await;
        assert_eq!(entered.is_ok(), number == done[0], "{number}");
    }
    assert_eq!(two.entries("account.setup").await.len(), 1);
    two.close().await;
}

pub(super) async fn a_login_does_not_outlive_its_password(database: &Database) {
    let two = Two::open(database).await;
    let [one, other] = &two.processes;
    let link = one.add(&login("a1"), Role::Viewer, Scope::All).await;
    let path = link.unwrap().path;
    let code = path.trim_start_matches("/setup/");
    one.set_up(code, "", PASSWORD).await.unwrap();
    let mut password = PASSWORD.to_owned();
    for round in 0..4 {
        let own = one.log_in("a1", &password, "192.0.2.1").await.unwrap();
        let who = one.by_cookie(&own.cookie, "192.0.2.1").await.unwrap();
        let next = format!("{PASSWORD}-{round}");
        let (stolen, changed) = join(
            other.log_in("a1", &password, "192.0.2.9"),
            acting(who.unwrap(), one.change_password(&password, &next)),
        )
        .await;
        changed.unwrap();
        if let Ok(stolen) = stolen {
            let held = other.by_cookie(&stolen.cookie, "192.0.2.9").await.unwrap();
            assert!(held.is_none(), "round {round}: {held:?}");
        }
        let still = one.by_cookie(&own.cookie, "192.0.2.1").await.unwrap();
        assert!(still.is_some(), "round {round}: one's own stays");
        password = next;
    }
    two.close().await;
}
