//! MQTT topics: the only place where their strings stand.
//!
//! A terminal publishes to its own `report` and `state` and reads its own `ack`. A machine that is no terminal yet
//! publishes to `enrol` under a passing name and reads its own `enrolled`. Nothing else exists.

use std::fmt;

/// Where every topic begins; the `1` is the contract's major version.
pub const ROOT: &str = "classpulse/v1";

/// Longest terminal id, in bytes.
pub const MAX_TERMINAL: usize = 64;

/// Subscribes one client to all reports.
pub const ALL_REPORTS: &str = "classpulse/v1/+/report";

/// Subscribes one client to all requests for enrolment.
pub const ALL_ENROLS: &str = "classpulse/v1/+/enrol";

/// Subscribes several aggregators to all requests for enrolment, each going to one of them.
pub const SHARED_ENROLS: &str = "$share/classpulse/classpulse/v1/+/enrol";

/// Subscribes several aggregators to all reports, each report going to one of them.
pub const SHARED_REPORTS: &str = "$share/classpulse/classpulse/v1/+/report";

/// Every terminal's acknowledgements: the service's to publish.
pub const ALL_ACKS: &str = "classpulse/v1/+/ack";

/// All answers to requests for enrolment: the service's to publish.
pub const ALL_ENROLLED: &str = "classpulse/v1/+/enrolled";

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Up: a `Report`, QoS 1.
    Report,
    /// Down: an `Ack`. One that is lost does no harm: the report comes again.
    Ack,
    /// Up, retained: a `State`, also the Last Will.
    State,
    /// Up, under a passing name: an `EnrolRequest`.
    Enrol,
    /// Down, to a passing name: an `EnrolResponse`.
    Enrolled,
}

impl Channel {
    const ALL: [Self; 5] = [
        Self::Report,
        Self::Ack,
        Self::State,
        Self::Enrol,
        Self::Enrolled,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Ack => "ack",
            Self::State => "state",
            Self::Enrol => "enrol",
            Self::Enrolled => "enrolled",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The topic of one terminal.
#[must_use]
pub fn of(terminal: &str, channel: Channel) -> String {
    format!("{ROOT}/{terminal}/{channel}")
}

/// Takes a topic apart. `None` for anything that is not exactly a topic of this contract.
#[must_use]
pub fn parse(topic: &str) -> Option<(&str, Channel)> {
    let (terminal, channel) = topic
        .strip_prefix(ROOT)?
        .strip_prefix('/')?
        .split_once('/')?;
    let channel = Channel::ALL
        .into_iter()
        .find(|known| known.name() == channel)?;
    is_terminal(terminal).then_some((terminal, channel))
}

/// Whether a text can be a terminal's id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
/// These are safe in a topic, a file name, a URL and a spreadsheet.
#[must_use]
pub fn is_terminal(text: &str) -> bool {
    (1..=MAX_TERMINAL).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// How a machine calls itself that is no terminal yet: no terminal may have such an id.
const PASSING: &str = "enrol-";

/// A passing name from 8 random bytes.
#[must_use]
pub fn passing(random: u64) -> String {
    format!("{PASSING}{random:016x}")
}

/// Whether a name is a passing one: `enrol-` and 16 hexadecimal digits.
#[must_use]
pub fn is_passing(text: &str) -> bool {
    text.strip_prefix(PASSING).is_some_and(|rest| {
        rest.len() == 16
            && rest
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_survives_the_round_trip() {
        for channel in Channel::ALL {
            let topic = of("3-2_a.b", channel);
            assert_eq!(parse(&topic), Some(("3-2_a.b", channel)));
        }
    }

    #[test]
    fn foreign_topics_are_not_ours() {
        for topic in [
            "",
            "classpulse/v1",
            "classpulse/v1//report",
            "classpulse/v1/a/b/report",
            "classpulse/v2/a/report",
            "classpulse/v1/a/reports",
            "classpulse/v1/+/report",
            "classpulse/v1x/a/report",
            "classpulse/v1/教室/report",
        ] {
            assert_eq!(parse(topic), None, "{topic}");
        }
        assert!(!is_terminal(&"x".repeat(65)));
    }

    #[test]
    fn passing_names_are_told_from_terminals() {
        assert!(is_passing(&passing(0xAB)) && is_terminal(&passing(u64::MAX)));
        for other in ["enrol-", "enrol-12", "enrol-00000000000000AB", "pc-1", ""] {
            assert!(!is_passing(other), "{other}");
        }
    }

    #[test]
    fn subscriptions_match_the_root() {
        assert!(ALL_REPORTS.starts_with(ROOT));
        assert!(SHARED_REPORTS.ends_with(ALL_REPORTS));
        assert!(SHARED_ENROLS.ends_with(ALL_ENROLS) && ALL_ENROLS.starts_with(ROOT));
        assert_eq!(of("+", Channel::Ack), ALL_ACKS);
        assert_eq!(of("+", Channel::Enrolled), ALL_ENROLLED);
    }
}
