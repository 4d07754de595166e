//! A log file that never grows beyond its bound: this one, and the one before it.
//!
//! For where no service manager keeps the lines (Windows). Not responsible for what is written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Bytes of one file; with the one before, twice as many lie on the disk.
pub const LARGEST: u64 = 1024 * 1024;

/// Appends lines. A file that can't be written is not the agent's trouble: lines are dropped and the next is tried.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    largest: u64,
    /// Open since the first line, with its length.
    open: Option<(File, u64)>,
}

impl LogFile {
    /// Lines go to `path`, and those before to a file beside it, each of at most `largest` bytes.
    #[must_use]
    pub fn new(path: PathBuf, largest: u64) -> Self {
        Self {
            path,
            largest,
            open: None,
        }
    }

    /// Where the lines are that `path` has no more.
    #[must_use]
    pub fn before(path: &Path) -> PathBuf {
        path.with_extension("old.log")
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut file, mut length) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        if length > 0 && length.saturating_add(bytes.len() as u64) > self.largest {
            // Windows renames no file that is open.
            drop(file);
            fs::rename(&self.path, Self::before(&self.path))?;
            (file, length) = open(&self.path)?;
        }
        file.write_all(bytes)?;
        self.open = Some((file, length + bytes.len() as u64));
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).ok();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_hold_the_latest_lines_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        for run in 0..3 {
            // As after a restart: what is there counts.
            let mut log = LogFile::new(path.clone(), 64);
            for line in 0..10 {
                // In one piece, as the log's writer does.
                log.write_all(format!("run {run} line {line}\n").as_bytes())
                    .unwrap();
                let both = [read(&path), read(&LogFile::before(&path))];
                assert!(both.iter().all(|text| text.len() <= 64), "{both:?}");
                assert!(both[0].ends_with(&format!("run {run} line {line}\n")));
            }
        }
        let all = read(&LogFile::before(&path)) + &read(&path);
        let lines: Vec<&str> = all.lines().collect();
        assert!(lines.len() > 4, "{all}");
        let last: Vec<String> = (10 - lines.len()..10)
            .map(|n| format!("run 2 line {n}"))
            .collect();
        assert_eq!(lines, last);
    }

    #[test]
    fn a_missing_folder_drops_lines_until_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/agent.log");
        let mut log = LogFile::new(path.clone(), 64);
        writeln!(log, "lost").unwrap();
        fs::create_dir(folder.path().join("later")).unwrap();
        writeln!(log, "kept").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "kept\n");
    }
}
