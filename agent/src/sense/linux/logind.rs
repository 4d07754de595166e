//! logind over D-Bus: who asks that the machine is not taken for idle, which session is in front, and its idle hint.
//!
//! A film player or a presentation programme holds an inhibitor for `idle` while it shows something; so do browsers
//! with a film. Only those of the person in front count: a package updater holds one as well, and is no use.
//! The idle hint comes from the desktop, minutes late and not from every desktop: it is told apart, as a last resort.

use std::{
    collections::HashMap,
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::task::JoinSet;
use zbus::{
    Connection, OwnedObjectPath, OwnedVariant,
    zvariant::{DynamicType, Type},
};

/// Between two looks. What is shown on a screen changes slowly, and a look costs some calls.
const LOOK: Duration = Duration::from_secs(10);
/// After a failed look: there may be no logind on this machine.
const AFTER_FAILURE: Duration = Duration::from_mins(1);
/// The longest wait for an answer.
const WAIT: Duration = Duration::from_secs(5);
/// Most sessions that are looked at; a classroom terminal has one or two.
const MOST_SESSIONS: usize = 16;
/// The system bus, below the root folder.
const BUS: &str = "run/dbus/system_bus_socket";

const SERVICE: &str = "org.freedesktop.login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What logind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    /// A programme of the person in front shows something.
    pub(super) inhibited: bool,
    /// Somebody is logged in in front, and the screen is locked.
    pub(super) locked: bool,
    /// The desktop in front sets the hint, and says that somebody is there.
    pub(super) stirring: bool,
}

/// Watches logind until dropped.
#[derive(Debug)]
pub(super) struct Logind {
    seen: Arc<Mutex<Option<Look>>>,
    _watch: JoinSet<()>,
}

/// Whether there is a system bus.
pub(super) fn there(root: &Path) -> bool {
    root.join(BUS).exists()
}

impl Logind {
    /// Begins to watch. `None` outside a runtime: nothing would be seen.
    pub(super) fn watch(root: &Path) -> Option<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let seen = Arc::new(Mutex::new(None));
        let address = format!("unix:path={}", root.join(BUS).display());
        let mut watch = JoinSet::new();
        watch.spawn_on(look_for_ever(address, Arc::clone(&seen)), &runtime);
        Some(Self {
            seen,
            _watch: watch,
        })
    }

    /// The last look; `None` while logind does not answer.
    pub(super) fn seen(&self) -> Option<Look> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look_for_ever(address: String, seen: Arc<Mutex<Option<Look>>>) {
    let put = |look| {
        std::mem::replace(
            &mut *seen.lock().unwrap_or_else(PoisonError::into_inner),
            look,
        )
    };
    let mut told = false;
    loop {
        let looks = async {
            let bus = connect(&address).await?;
            loop {
                put(Some(look(&bus).await?));
                tokio::time::sleep(LOOK).await;
            }
        };
        let ended: zbus::Result<Infallible> = looks.await;
        let answered = put(None).is_some();
        // Said when it begins, not again and again.
        if let Some(error) = ended.err().filter(|_| answered || !told) {
            tracing::warn!(%error, "logind does not answer");
            told = true;
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

async fn connect(address: &str) -> zbus::Result<Connection> {
    let builder = zbus::connection::Builder::address(address).method_timeout(WAIT);
    match tokio::time::timeout(WAIT, builder.build()).await {
        Ok(bus) => bus,
        Err(late) => Err(zbus::Error::InputOutput(Arc::new(late.into()))),
    }
}

/// An inhibitor: what it is against, who holds it, why, how, user, process. Names and reasons are not looked at.
type Inhibitor = (String, String, String, String, u32, u32);
/// A session: id, user, name, seat, object.
type Session = (String, u32, String, String, OwnedObjectPath);

async fn look(bus: &Connection) -> zbus::Result<Look> {
    let inhibitors: Vec<Inhibitor> = call(
        bus,
        "/org/freedesktop/login1",
        MANAGER,
        "ListInhibitors",
        &(),
    )
    .await?;
    let sessions: Vec<Session> =
        call(bus, "/org/freedesktop/login1", MANAGER, "ListSessions", &()).await?;
    let mut front = Vec::new();
    for (_, user, _, _, object) in sessions.into_iter().take(MOST_SESSIONS) {
        let asked = call(bus, object.as_str(), PROPERTIES, "GetAll", &SESSION).await;
        // A session may end between the two questions.
        let Ok(properties) = asked else { continue };
        front.extend(Front::of(user, &properties));
    }
    Ok(judge(&inhibitors, &front))
}

async fn call<T>(
    bus: &Connection,
    object: &str,
    interface: &str,
    method: &str,
    body: &(impl serde::Serialize + DynamicType),
) -> zbus::Result<T>
where
    T: for<'de> Deserialize<'de> + Type,
{
    let answer = bus
        .call_method(Some(SERVICE), object, Some(interface), method, body)
        .await?;
    answer.body().deserialize()
}

/// A person's session that is in front on its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Front {
    user: u32,
    locked: bool,
    /// Whether somebody is there, where the desktop has ever said so.
    stirring: bool,
}

impl Front {
    /// `None` for sessions of no person or in the background.
    fn of(user: u32, properties: &HashMap<String, OwnedVariant>) -> Option<Self> {
        let text = |name| {
            properties
                .get(name)
                .and_then(|value| <&str>::try_from(value).ok())
        };
        let flag = |name| {
            properties
                .get(name)
                .is_some_and(|value| bool::try_from(value) == Ok(true))
        };
        let moment = properties
            .get("IdleSinceHint")
            .and_then(|value| u64::try_from(value).ok());
        if text("Class") != Some("user") || !flag("Active") {
            return None;
        }
        // On a console logind makes the hint up from access times, which `tty` reads itself.
        let graphical = matches!(text("Type"), Some("x11" | "wayland" | "mir"));
        let hinted = graphical && moment.is_some_and(|at| at != 0);
        Some(Self {
            user,
            locked: flag("LockedHint"),
            stirring: hinted && !flag("IdleHint"),
        })
    }
}

fn judge(inhibitors: &[Inhibitor], front: &[Front]) -> Look {
    let shows = |session: &&Front| {
        inhibitors.iter().any(|(what, _, _, _, user, _)| {
            *user == session.user && what.split(':').any(|what| what == "idle")
        })
    };
    let mut open = front.iter().filter(|session| !session.locked);
    Look {
        inhibited: open.clone().any(|session| shows(&session)),
        stirring: open.clone().any(|session| session.stirring),
        locked: !front.is_empty() && open.next().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use zbus::{Variant, interface};

    use super::*;

    fn inhibitor(what: &str, user: u32) -> Inhibitor {
        let text = String::new;
        (what.to_owned(), text(), text(), "block".to_owned(), user, 1)
    }

    #[test]
    fn only_what_the_person_in_front_shows_counts() {
        let person = Front {
            user: 1_000,
            locked: false,
            stirring: false,
        };
        let film = [inhibitor("idle", 1_000)];
        assert!(judge(&film, &[person]).inhibited);
        assert!(judge(&[inhibitor("sleep:idle", 1_000)], &[person]).inhibited);
        for other in [
            inhibitor("shutdown:idle", 0),
            inhibitor("sleep", 1_000),
            inhibitor("handle-lid-switch", 1_000),
        ] {
            assert_eq!(judge(&[other], &[person]), Look::default());
        }
        assert_eq!(judge(&film, &[]), Look::default(), "nobody is in front");
        let locked = Front {
            locked: true,
            stirring: true,
            ..person
        };
        let seen = judge(&film, &[locked]);
        assert_eq!(
            (seen.inhibited, seen.stirring, seen.locked),
            (false, false, true)
        );
        let other = Front {
            user: 1_001,
            ..person
        };
        assert!(!judge(&film, &[locked, other]).locked, "one is in use");
    }

    #[test]
    fn a_hint_counts_where_a_desktop_sets_it() {
        let front = |kind: &str, idle: bool, since: u64, class: &str, active: bool| {
            let own = |value: Variant<'_>| OwnedVariant::try_from(value).unwrap();
            let properties = HashMap::from([
                ("Class".to_owned(), own(class.into())),
                ("Type".to_owned(), own(kind.into())),
                ("Active".to_owned(), own(active.into())),
                ("IdleHint".to_owned(), own(idle.into())),
                ("IdleSinceHint".to_owned(), own(since.into())),
            ]);
            Front::of(1_000, &properties)
        };
        let stirring = |front: Option<Front>| front.unwrap().stirring;
        assert!(stirring(front("x11", false, 7, "user", true)));
        assert!(!stirring(front("x11", true, 7, "user", true)));
        assert!(!stirring(front("x11", false, 0, "user", true)), "never set");
        assert!(!stirring(front("tty", false, 7, "user", true)), "made up");
        assert_eq!(front("x11", false, 7, "greeter", true), None);
        assert_eq!(front("x11", false, 7, "user", false), None);
        assert_eq!(Front::of(1_000, &HashMap::new()), None);
    }

    /// A message bus of its own.
    struct Bus(Child, tempfile::TempDir);

    impl Drop for Bus {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    impl Bus {
        fn start() -> Self {
            let root = tempfile::tempdir().unwrap();
            let socket = root.path().join(BUS);
            std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
            let daemon = Command::new("dbus-daemon")
                .args(["--session", "--nofork", "--nopidfile"])
                .arg(format!("--address=unix:path={}", socket.display()))
                .stderr(Stdio::null())
                .spawn();
            Self(daemon.expect("dbus-daemon(1), of dbus-daemon"), root)
        }

        async fn ready(&self) {
            while !there(self.1.path()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    type Inhibitors = Arc<Mutex<Vec<Inhibitor>>>;

    struct Manager(Inhibitors);

    #[interface(name = "org.freedesktop.login1.Manager")]
    impl Manager {
        fn list_inhibitors(&self) -> Vec<Inhibitor> {
            self.0.lock().unwrap().clone()
        }

        #[expect(clippy::unused_self, reason = "the bus's form of a method")]
        fn list_sessions(&self) -> Vec<Session> {
            let one = |id: &str| {
                let object = format!("/org/freedesktop/login1/session/{id}");
                let object = OwnedObjectPath::try_from(object).unwrap();
                (
                    id.to_owned(),
                    1_000,
                    String::new(),
                    "seat0".to_owned(),
                    object,
                )
            };
            // The second is gone when it is asked.
            vec![one("_32"), one("_33")]
        }
    }

    struct OneSession;

    #[interface(name = "org.freedesktop.login1.Session")]
    #[expect(clippy::unused_self, reason = "the bus's form of a property")]
    impl OneSession {
        #[zbus(property)]
        fn class(&self) -> &'static str {
            "user"
        }
        #[zbus(property, name = "Type")]
        fn kind(&self) -> &'static str {
            "x11"
        }
        #[zbus(property)]
        fn active(&self) -> bool {
            true
        }
        #[zbus(property)]
        fn locked_hint(&self) -> bool {
            false
        }
        #[zbus(property)]
        fn idle_hint(&self) -> bool {
            false
        }
        #[zbus(property)]
        fn idle_since_hint(&self) -> u64 {
            1_788_220_800_000_000
        }
    }

    #[tokio::test]
    async fn logind_is_asked_over_the_bus() {
        let bus = Bus::start();
        bus.ready().await;
        let inhibitors = Inhibitors::default();
        let address = format!("unix:path={}", bus.1.path().join(BUS).display());
        let client = connect(&address).await.unwrap();
        assert!(look(&client).await.is_err(), "nobody is there");

        let service = zbus::connection::Builder::address(address.as_str())
            .serve_at("/org/freedesktop/login1", Manager(inhibitors.clone()))
            .serve_at("/org/freedesktop/login1/session/_32", OneSession)
            .name(SERVICE)
            .build()
            .await
            .unwrap();
        let mut expected = Look {
            stirring: true,
            ..Look::default()
        };
        assert_eq!(look(&client).await.unwrap(), expected);
        inhibitors.lock().unwrap().push(inhibitor("idle", 1_000));
        expected.inhibited = true;
        assert_eq!(look(&client).await.unwrap(), expected);

        let watch = Logind::watch(bus.1.path()).unwrap();
        let seen = async {
            while watch.seen().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen)
            .await
            .unwrap();
        assert_eq!(watch.seen(), Some(expected));
        drop(service);
    }
}
