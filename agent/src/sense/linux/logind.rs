//! logind over D-Bus: who asks that the machine is not taken for idle, which session is in front, and its idle hint.
//!
//! A film player or a presentation programme holds an inhibitor for `idle` while it shows something; so do browsers
//! with a film. Only those of the person in front count: a package updater holds one as well, and is no use.
//! The idle hint comes from the desktop, minutes late and not from every desktop: it is told apart, as a last resort.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

use super::bus::{Body, Bus, Method};

/// Between two looks. What is shown on a screen changes slowly, and a look costs some calls.
const LOOK: Duration = Duration::from_secs(10);
/// After a failed look: there may be no logind on this machine.
const AFTER_FAILURE: Duration = Duration::from_mins(1);
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
        let mut watch = JoinSet::new();
        watch.spawn_on(look_for_ever(root.join(BUS), Arc::clone(&seen)), &runtime);
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

async fn look_for_ever(at: PathBuf, seen: Arc<Mutex<Option<Look>>>) {
    let put = |look| {
        std::mem::replace(
            &mut *seen.lock().unwrap_or_else(PoisonError::into_inner),
            look,
        )
    };
    let mut told = false;
    loop {
        let looks = async {
            let mut bus = Bus::connect(&at).await?;
            loop {
                put(Some(look(&mut bus).await?));
                tokio::time::sleep(LOOK).await;
            }
        };
        let ended: io::Result<Infallible> = looks.await;
        let answered = put(None).is_some();
        // Said when it begins, not again and again.
        if let Some(error) = ended.err().filter(|_| answered || !told) {
            tracing::warn!(%error, "logind does not answer");
            told = true;
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

/// What an inhibitor is against, and whose it is. Who holds it and why is read past.
type Inhibitor = (String, u32);

async fn look(bus: &mut Bus) -> io::Result<Look> {
    let answer = bus.call(manager("ListInhibitors"), None).await?;
    let inhibitors = read(answer, |body| {
        let what = body.text()?;
        for _who_why_how in 0..3 {
            body.pass("s")?;
        }
        let user = body.number()?;
        let _process = body.number()?;
        Some((what, user))
    })?;
    let answer = bus.call(manager("ListSessions"), None).await?;
    let sessions = read(answer, |body| {
        let _id = body.text()?;
        let user = body.number()?;
        for _name_and_seat in 0..2 {
            body.pass("s")?;
        }
        Some((user, body.text()?))
    })?;
    let mut front = Vec::new();
    for (user, object) in sessions.iter().take(MOST_SESSIONS) {
        let all = Method {
            service: SERVICE,
            object,
            interface: PROPERTIES,
            name: "GetAll",
        };
        // A session may end between the two questions.
        let Ok(answer) = bus.call(all, Some(SESSION)).await else {
            continue;
        };
        let properties = read(answer, |body| Some((body.text()?, Property::read(body)?)))?;
        front.extend(Front::of(*user, &properties));
    }
    Ok(judge(&inhibitors, &front))
}

fn manager(name: &str) -> Method<'_> {
    Method {
        service: SERVICE,
        object: "/org/freedesktop/login1",
        interface: MANAGER,
        name,
    }
}

fn read<T>(mut answer: Body, one: impl Fn(&mut Body) -> Option<T>) -> io::Result<Vec<T>> {
    let words = "logind's answer can't be read";
    answer
        .all(one)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, words))
}

/// A session's property.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Property {
    Text(String),
    Flag(bool),
    Moment(u64),
    /// Of a type that is not looked at.
    Other,
}

impl Property {
    fn read(body: &mut Body) -> Option<Self> {
        let kind = body.signature()?;
        match kind.as_str() {
            "s" => body.text().map(Self::Text),
            "b" => body.number().map(|flag| Self::Flag(flag != 0)),
            "t" => body.large().map(Self::Moment),
            other => body.pass(other).map(|()| Self::Other),
        }
    }
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
    fn of(user: u32, properties: &[(String, Property)]) -> Option<Self> {
        let find = |name| {
            let property = properties.iter().find(|(found, _)| found == name);
            property.map(|(_, property)| property)
        };
        let text = |name| match find(name) {
            Some(Property::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let flag = |name| find(name) == Some(&Property::Flag(true));
        let moment = match find("IdleSinceHint") {
            Some(Property::Moment(moment)) => Some(*moment),
            _ => None,
        };
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
        inhibitors
            .iter()
            .any(|(what, user)| *user == session.user && what.split(':').any(|what| what == "idle"))
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

    use zbus::{OwnedObjectPath, interface};

    use super::*;

    fn inhibitor(what: &str, user: u32) -> Inhibitor {
        (what.to_owned(), user)
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
            let properties = [
                ("Class", Property::Text(class.to_owned())),
                ("Type", Property::Text(kind.to_owned())),
                ("Active", Property::Flag(active)),
                ("IdleHint", Property::Flag(idle)),
                ("IdleSinceHint", Property::Moment(since)),
            ]
            .map(|(name, property)| (name.to_owned(), property));
            Front::of(1_000, &properties)
        };
        let stirring = |front: Option<Front>| front.unwrap().stirring;
        assert!(stirring(front("x11", false, 7, "user", true)));
        assert!(!stirring(front("x11", true, 7, "user", true)));
        assert!(!stirring(front("x11", false, 0, "user", true)), "never set");
        assert!(!stirring(front("tty", false, 7, "user", true)), "made up");
        assert_eq!(front("x11", false, 7, "greeter", true), None);
        assert_eq!(front("x11", false, 7, "user", false), None);
        assert_eq!(Front::of(1_000, &[]), None);
    }

    /// A message bus of its own.
    struct Daemon(Child, tempfile::TempDir);

    impl Drop for Daemon {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    impl Daemon {
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

    /// As logind says them: what, who, why, how, user, process.
    type Inhibitors = Arc<Mutex<Vec<(String, String, String, String, u32, u32)>>>;
    type Session = (String, u32, String, String, OwnedObjectPath);

    struct Manager(Inhibitors);

    #[interface(name = "org.freedesktop.login1.Manager")]
    impl Manager {
        fn list_inhibitors(&self) -> Vec<(String, String, String, String, u32, u32)> {
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
        let bus = Daemon::start();
        bus.ready().await;
        let inhibitors = Inhibitors::default();
        let at = bus.1.path().join(BUS);
        let address = format!("unix:path={}", at.display());
        let mut client = Bus::connect(&at).await.unwrap();
        let error = look(&mut client).await.unwrap_err().to_string();
        assert!(error.contains("org.freedesktop.DBus.Error."), "{error}");

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
        assert_eq!(look(&mut client).await.unwrap(), expected);
        let text = |text: &str| text.to_owned();
        let film = (
            text("sleep:idle"),
            text("播放器"),
            text("film"),
            text("block"),
            1_000,
            9,
        );
        inhibitors.lock().unwrap().push(film);
        expected.inhibited = true;
        assert_eq!(look(&mut client).await.unwrap(), expected);

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
