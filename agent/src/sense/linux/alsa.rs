//! Sound being played (`/proc/asound`): a stream of a card's output that runs.
//!
//! Sound servers play through the card as well, so one look covers `PulseAudio` and `PipeWire`: both let the card go
//! 5 s after the last sound (`module-suspend-on-idle`, `session.suspend-timeout-seconds`). A server that was told to
//! keep the card awake looks like sound that never ends; such a machine leaves this source out of its `sources`.

use std::{fs, path::Path};

use super::entries;

/// Whether the kernel has sound at all. A machine without a card has none to play.
pub(super) fn there(root: &Path) -> bool {
    root.join("proc/asound").exists()
}

/// Whether any card plays.
pub(super) fn playing(root: &Path) -> bool {
    let cards = entries(&root.join("proc/asound"), |name| name.starts_with("card"));
    let outputs = cards
        .iter()
        .flat_map(|card| entries(card, |name| name.starts_with("pcm") && name.ends_with('p')));
    let streams = outputs.flat_map(|output| entries(&output, |name| name.starts_with("sub")));
    streams.into_iter().any(|stream| {
        fs::read_to_string(stream.join("status"))
            .is_ok_and(|status| status.contains("state: RUNNING"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playing_card_is_heard_and_a_recording_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let status = |stream: &str, text: &str| {
            let folder = root
                .path()
                .join("proc/asound/card0")
                .join(stream)
                .join("sub0");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("status"), text).unwrap();
        };
        assert!(!there(root.path()) && !playing(root.path()));
        status("pcm0c", "state: RUNNING\n");
        status("pcm0p", "closed\n");
        assert!(!playing(root.path()));
        // A film that stands still.
        status("pcm0p", "state: PAUSED\nowner_pid   : 1\n");
        assert!(!playing(root.path()));
        status("pcm1p", "state: RUNNING\nowner_pid   : 1\n");
        assert!(there(root.path()) && playing(root.path()));
        status("pcm1p", "closed\n");
        assert!(!playing(root.path()));
    }
}
