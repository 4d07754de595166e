//! Who may say and hear what, at any broker. Pure.

use classpulse_proto::topic::{self, Channel};

/// Longest password of a machine that asks: a code has 14 characters, and some blanks do no harm; a key has 43.
pub(super) const MAX_PASSWORD: usize = 64;

/// What a client is by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A terminal under its own name: it shows its key, where it has one.
    Terminal,
    /// A machine that is no terminal yet: what it shows is judged with its request.
    Machine,
    /// A terminal that asks for a new key: it must show the one that it has.
    Renewing,
}

/// What a client is; `None` where its names agree on nothing.
pub(super) fn role(client: &str, user: &str) -> Option<Role> {
    let same = client == user;
    match (topic::is_passing(client), topic::is_passing(user)) {
        (true, true) if same => Some(Role::Machine),
        (true, false) if topic::is_terminal(user) => Some(Role::Renewing),
        (false, false) if same && topic::is_terminal(user) => Some(Role::Terminal),
        _ => None,
    }
}

/// Whether a client may publish to a topic.
pub(super) fn may_publish(client: &str, to: &str) -> bool {
    let passes = topic::is_passing(client);
    match topic::parse(to) {
        Some((name, Channel::Report | Channel::State)) => name == client && !passes,
        Some((name, Channel::Enrol)) => name == client && passes,
        _ => false,
    }
}

/// Whether a client may subscribe to a filter.
pub(super) fn may_subscribe(client: &str, filter: &str) -> bool {
    let passes = topic::is_passing(client);
    match topic::parse(filter) {
        Some((name, Channel::Ack)) => name == client && !passes,
        Some((name, Channel::Enrolled)) => name == client && passes,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_agree() {
        let (one, other) = (topic::passing(1), topic::passing(2));
        for (client, user, expected) in [
            ("t-1", "t-1", Some(Role::Terminal)),
            (one.as_str(), one.as_str(), Some(Role::Machine)),
            (&one, "t-1", Some(Role::Renewing)),
            (&one, &other, None),
            ("t-1", "t-2", None),
            ("t-1", &one, None),
            ("t-1", "", None),
            ("", "", None),
            ("a/b", "a/b", None),
            (&one, "a/b", None),
        ] {
            assert_eq!(role(client, user), expected, "{client} {user}");
        }
    }

    #[test]
    fn everyone_speaks_for_itself_and_hears_its_own_answers() {
        let one = topic::passing(1);
        let all = [
            Channel::Report,
            Channel::State,
            Channel::Ack,
            Channel::Enrol,
            Channel::Enrolled,
        ];
        for channel in all {
            let of = |name: &str| topic::of(name, channel);
            let up = matches!(channel, Channel::Report | Channel::State);
            assert_eq!(may_publish("t", &of("t")), up);
            assert_eq!(may_subscribe("t", &of("t")), channel == Channel::Ack);
            assert_eq!(may_publish(&one, &of(&one)), channel == Channel::Enrol);
            assert_eq!(may_subscribe(&one, &of(&one)), channel == Channel::Enrolled);
            for other in ["t-1", "+", "T"] {
                assert!(!may_publish("t", &of(other)) && !may_subscribe("t", &of(other)));
            }
        }
        for filter in [
            "#",
            "+",
            "classpulse/#",
            "$SYS/#",
            topic::SHARED_REPORTS,
            "",
        ] {
            assert!(
                !may_subscribe("t", filter) && !may_publish("t", filter),
                "{filter}"
            );
        }
    }
}
