//! Topics: the first thing that is believed of a report.

use classpulse_proto::topic;

use crate::target;

target!(
    /// A topic that is taken for ours is one that we would write, letter by letter.
    a_topic_that_is_ours_is_written_the_same,
    5_000,
    |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        if let Some((terminal, channel)) = topic::parse(text) {
            assert_eq!(topic::of(terminal, channel), text);
            assert!(topic::is_terminal(terminal));
        }
        if topic::is_terminal(text) {
            let topic = topic::of(text, topic::Channel::Report);
            assert_eq!(topic::parse(&topic), Some((text, topic::Channel::Report)));
            assert!(!text.contains(['/', '+', '#', '\0', ',', '"']));
        }
    }
);
