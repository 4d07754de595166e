//! What a Mosquitto between terminals and the service needs: a password file of every terminal's key, an access list, and a
//! configuration. Texts only.
//!
//! Mosquitto knows no store, so these are written anew whenever keys change (`classpulse broker mosquitto`). Whatever it has
//! not heard of yet, the service does: reports of a revoked terminal are let go. Not responsible for writing files (`cli`).

use classpulse_proto::topic::{ALL_ACKS, ALL_ENROLLED, ALL_ENROLS, ALL_REPORTS};

use crate::{
    enrolment::{is_of, new_entry, password_entry},
    store::Key,
    tls::ServerTls,
};

/// The user name by which the service comes in where the configuration says none.
pub const OWN_USER: &str = "classpulse";

/// Names of the files.
pub const FILES: [&str; 4] = ["passwords", "acl", "enrol-acl", "classpulse.conf"];

/// A password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passwords {
    /// Its text.
    pub text: String,
    /// Terminals in it.
    pub terminals: usize,
    /// Terminals whose key was given before there was a form that Mosquitto knows: they need a new one first.
    pub without: usize,
}

/// Every key that holds, and our own login. `before` is the file as it is: an entry of ours that still fits stays, so that
/// nothing changes where nothing has changed.
#[must_use]
pub fn passwords(keys: &[Key], own: Option<(&str, &str)>, before: &str) -> Passwords {
    let mut lines = Vec::new();
    if let Some((user, password)) = own {
        let kept = before
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, entry)| *name == user && is_of(entry, password.as_bytes()));
        let entry = kept.map_or_else(|| new_entry(password.as_bytes()), |(_, entry)| entry.into());
        lines.push(format!("{user}:{entry}\n"));
    }
    let mut keys: Vec<_> = keys.iter().filter(|key| !key.revoked).collect();
    keys.sort_unstable_by(|a, b| a.terminal.cmp(&b.terminal));
    let with = keys.iter().filter_map(|key| {
        let entry = password_entry(key.salted.as_ref()?);
        Some(format!("{}:{entry}\n", key.terminal))
    });
    let own = lines.len();
    lines.extend(with);
    let terminals = lines.len() - own;
    Passwords {
        text: lines.concat(),
        terminals,
        without: keys.len() - terminals,
    }
}

/// Who may say and hear what. A passing name is a client id; a terminal that renews its key comes with its own user name.
#[must_use]
pub fn acl(own: &str) -> String {
    format!(
        "# Written by `classpulse broker mosquitto`: changes are lost.\n\
         # A terminal speaks only for itself.\n\
         pattern write classpulse/v1/%u/report\n\
         pattern write classpulse/v1/%u/state\n\
         pattern read classpulse/v1/%u/ack\n\
         # And asks for a new key under a passing client id.\n\
         {ASKING}\n\
         user {own}\n\
         topic read {ALL_REPORTS}\n\
         topic read {ALL_ENROLS}\n\
         topic write {ALL_ACKS}\n\
         topic write {ALL_ENROLLED}\n"
    )
}

/// The same where machines come that have no key yet.
#[must_use]
pub fn enrol_acl() -> String {
    format!(
        "# Written by `classpulse broker mosquitto`: changes are lost.\n\
         # Whoever comes here may ask to become a terminal, and nothing else.\n\
         {ASKING}\n"
    )
}

const ASKING: &str = "pattern write classpulse/v1/%c/enrol\npattern read classpulse/v1/%c/enrolled";

/// How Mosquitto listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Where terminals and the service come in.
    pub port: u16,
    /// Where machines without a key may ask for one; `None` where no machine enrols through this broker.
    pub enrol_port: Option<u16>,
    /// Secures both. Without it Mosquitto listens on this machine alone.
    pub tls: Option<ServerTls>,
}

/// A configuration of its own, to be started with or included. `folder` is where the other files are.
#[must_use]
pub fn configuration(listening: &Listening, folder: &str) -> String {
    let secured = match &listening.tls {
        None => String::new(),
        Some(tls) => format!(
            "certfile {}\nkeyfile {}\n",
            tls.certificate_file.display(),
            tls.key_file.display()
        ),
    };
    let address = match &listening.tls {
        None => " 127.0.0.1",
        Some(_) => "",
    };
    let listener = |what: &str, port: u16, rights: &str| {
        format!("\n# {what}\nlistener {port}{address}\n{secured}{rights}\n")
    };
    let terminals = listener(
        "Terminals with their keys, and the service.",
        listening.port,
        &format!("allow_anonymous false\npassword_file {folder}/passwords\nacl_file {folder}/acl"),
    );
    let machines = listening.enrol_port.map(|port| {
        listener(
            "Machines that ask to become terminals: their code is judged by the service.",
            port,
            &format!("allow_anonymous true\nacl_file {folder}/enrol-acl"),
        )
    });
    let machines = machines.unwrap_or_default();
    format!(
        "# Written by `classpulse broker mosquitto`: changes are lost.\nper_listener_settings true\n{terminals}{machines}{LIMITS}"
    )
}

/// As in `deploy/broker/mosquitto.conf`, which says why.
const LIMITS: &str = "
max_queued_messages 200000
max_inflight_messages 10000
max_packet_size 262144
persistent_client_expiration 1d
";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(terminal: &str, salted: Option<[u8; 76]>) -> Key {
        Key {
            terminal: terminal.parse().unwrap(),
            hash: [1; 32],
            salted,
            next: None,
            renew: false,
            revoked: false,
            enrolled_at: 0,
            changed_at: 0,
        }
    }

    #[test]
    fn only_keys_that_hold_stand_in_the_file_and_it_stays_as_it_is() {
        let mut revoked = key("c", Some([3; 76]));
        revoked.revoked = true;
        let keys = [
            key("b", Some([2; 76])),
            revoked,
            key("d", None),
            key("a", Some([1; 76])),
        ];
        let own = Some(("classpulse", "a long password"));
        let made = passwords(&keys, own, "");
        assert_eq!((made.terminals, made.without), (2, 1));
        let names: Vec<_> = made
            .text
            .lines()
            .map(|line| line.split_once(':').unwrap().0)
            .collect();
        assert_eq!(names, ["classpulse", "a", "b"]);
        assert_eq!(passwords(&keys, own, &made.text), made);
        let other = passwords(&keys, Some(("classpulse", "another one")), &made.text);
        assert_ne!(other.text, made.text);
    }

    #[test]
    fn without_tls_it_listens_on_this_machine_alone() {
        let mut listening = Listening {
            port: 1883,
            enrol_port: Some(1884),
            tls: None,
        };
        let plain = configuration(&listening, "/etc/x");
        assert!(
            plain.contains("listener 1883 127.0.0.1\n")
                && plain.contains("listener 1884 127.0.0.1\n")
        );
        listening.tls = Some(ServerTls {
            certificate_file: "/c".into(),
            key_file: "/k".into(),
        });
        let secured = configuration(&listening, "/etc/x");
        assert_eq!(secured.matches("certfile /c\nkeyfile /k\n").count(), 2);
        assert!(secured.contains("listener 1883\n"), "{secured}");
    }
}
