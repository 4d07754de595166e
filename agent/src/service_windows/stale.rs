//! Helpers of a service that was cut off, and is started again in the same boot: they run on and nobody hears them. The
//! next service ends them: by what it was told of them, in the part of the registry that goes with the boot.
//!
//! Not responsible for the helpers of this service (`helpers`).

use std::{fs, io, path::Path};

use tracing::{info, warn};
use windows_registry::{Key, Type};

use crate::{
    sense::windows::boot_key,
    win32::{Mark, Process},
};

const VALUE: &str = "Helpers";
/// Bytes of a mark: its number, then its beginning, the lower bytes first.
const MARK: usize = 12;

/// Tells the next service which helpers run.
pub(super) fn note(marks: &[Mark]) {
    let noted = boot_key().and_then(|key| note_in(&key, marks));
    if let Err(error) = noted {
        warn!(%error, "helpers are not noted; they outlive a service that is cut off");
    }
}

fn note_in(key: &Key, marks: &[Mark]) -> io::Result<()> {
    if marks.is_empty() {
        // The system takes no empty bytes. Where it was not there, it is gone as well.
        key.remove_value(VALUE).ok();
        return Ok(());
    }
    let bytes: Vec<u8> = marks
        .iter()
        .flat_map(|mark| {
            let (number, began) = (mark.number.to_le_bytes(), mark.began.to_le_bytes());
            number.into_iter().chain(began)
        })
        .collect();
    Ok(key.set_bytes(VALUE, Type::Bytes, &bytes)?)
}

/// Ends the helpers that a service before this one noted and left behind.
pub(super) fn end_left_behind() {
    let ended = boot_key().and_then(|key| end_noted(&key, &std::env::current_exe()?));
    match ended {
        Ok(0) => {}
        Ok(ended) => info!(ended, "helpers of a service before this one have ended"),
        Err(error) => warn!(%error, "whether helpers were left behind is not known"),
    }
}

/// Ends those that were noted, still are the same processes, and run this program. How many there were.
fn end_noted(key: &Key, program: &Path) -> io::Result<usize> {
    let Ok(noted) = key.get_value(VALUE) else {
        return Ok(0);
    };
    let program = fs::canonicalize(program)?;
    let is_ours = |process: &Process| {
        let runs = process.program().and_then(fs::canonicalize);
        runs.is_ok_and(|runs| runs == program)
    };
    let (marks, _) = noted.as_chunks::<MARK>();
    let ended = marks
        .iter()
        .filter_map(|mark| Process::find(read(mark)).ok())
        .filter(|process| is_ours(process) && process.end().is_ok())
        .count();
    note_in(key, &[])?;
    Ok(ended)
}

fn read(bytes: &[u8; MARK]) -> Mark {
    let [n0, n1, n2, n3, began @ ..] = *bytes;
    Mark {
        number: u32::from_le_bytes([n0, n1, n2, n3]),
        began: u64::from_le_bytes(began),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::windows::io::AsHandle as _,
        process::{Command, Stdio},
    };

    use windows_registry::CURRENT_USER;

    use super::*;

    #[test]
    fn only_helpers_that_were_noted_and_are_still_themselves_are_ended() {
        let own = format!(r"SOFTWARE\Classpulse-test-stale-{}", std::process::id());
        let key = CURRENT_USER.create(&own).unwrap();
        let program = std::env::current_exe().unwrap();
        assert_eq!(end_noted(&key, &program).unwrap(), 0, "nothing was noted");

        // Each waits for words that never come.
        let start = |_| {
            let mut cmd = Command::new("cmd");
            cmd.stdin(Stdio::piped()).stdout(Stdio::null());
            cmd.spawn().unwrap()
        };
        let mut others: Vec<_> = (0..3).map(start).collect();
        let processes: Vec<_> = others
            .iter()
            .map(|other| Process::new(other.as_handle().try_clone_to_owned().unwrap()))
            .collect();
        let cmd = processes[0].program().unwrap();
        let marks: Vec<Mark> = processes.iter().map(|one| one.mark().unwrap()).collect();
        // The second's number belongs to another process by now; nobody noted the third.
        let gone = Mark {
            began: marks[1].began - 1,
            ..marks[1]
        };
        note_in(&key, &[marks[0], gone]).unwrap();
        assert_eq!(end_noted(&key, &program).unwrap(), 0, "another program");
        assert!(processes.iter().all(Process::runs));

        note_in(&key, &[marks[0], gone]).unwrap();
        assert_eq!(end_noted(&key, &cmd).unwrap(), 1);
        let run: Vec<bool> = processes.iter().map(Process::runs).collect();
        assert_eq!(run, [false, true, true]);
        assert_eq!(end_noted(&key, &cmd).unwrap(), 0, "once");
        for other in &mut others {
            other.kill().ok();
            other.wait().ok();
        }
        CURRENT_USER.remove_tree(&own).unwrap();
    }
}
