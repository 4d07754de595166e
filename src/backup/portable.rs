//! The portable export: gzipped lines of JSON, one record a line, between a header and an end that counts and checks them.
//!
//! Readable with `zcat`. A file that is cut off or altered is refused before anything of it is taken in.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write},
    path::Path,
};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{BackupError, beginning, finish};
use crate::store::Record;

/// The format that this program writes; it reads no other.
const FORMAT: u32 = 1;

/// Longest line: a calendar or a refused report is far shorter.
const MAX_LINE: u64 = 16 << 20;

/// Records taken in at once.
const PAGE: usize = 1_000;

/// Bytes of lines after which a page is full: parts of evaluation runs may be large.
const PAGE_BYTES: usize = 16 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format's number, under the name that tells whose file this is.
    pub classpulse_export: u32,
    /// The program that wrote it.
    pub program: String,
    /// When, Unix seconds.
    pub made_at: i64,
}

/// How many of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Counties.
    pub counties: u64,
    /// Schools.
    pub schools: u64,
    /// Versions of calendars.
    pub calendars: u64,
    /// Evaluated periods.
    pub evaluated: u64,
    /// Terminals.
    pub terminals: u64,
    /// School-days whose minutes are no longer kept.
    pub sums: u64,
    /// Terminal-days.
    pub days: u64,
    /// Quarantine entries.
    pub refusals: u64,
    /// Enrolment codes. Files of older programs have none of these three.
    #[serde(default)]
    pub codes: u64,
    /// Terminals with a key.
    #[serde(default)]
    pub identities: u64,
    /// Incidents.
    #[serde(default)]
    pub incidents: u64,
    /// Rubrics. Files of older programs have none of these five.
    #[serde(default)]
    pub rubrics: u64,
    /// Evaluation runs.
    #[serde(default)]
    pub runs: u64,
    /// Items of evidence.
    #[serde(default)]
    pub evidence: u64,
    /// Exclusions of terminal-days.
    #[serde(default)]
    pub exclusions: u64,
    /// Parts of frozen runs.
    #[serde(default)]
    pub run_parts: u64,
    /// Accounts. Files of older programs have none of these two.
    #[serde(default)]
    pub accounts: u64,
    /// Entries of the audit log.
    #[serde(default)]
    pub recorded: u64,
}

impl Contents {
    fn count(&mut self, record: &Record) {
        *match record {
            Record::County(_) => &mut self.counties,
            Record::School(_) => &mut self.schools,
            Record::Calendar(_) => &mut self.calendars,
            Record::Evaluated(_) => &mut self.evaluated,
            Record::Code(_) => &mut self.codes,
            Record::Terminal(_) => &mut self.terminals,
            Record::Identity(_) => &mut self.identities,
            Record::Incident(_) => &mut self.incidents,
            // One at most, and no piece of its own.
            Record::KeptFrom(_) => return,
            Record::Sum(_) => &mut self.sums,
            Record::Day(_) => &mut self.days,
            Record::Refusal(_) => &mut self.refusals,
            Record::Rubric(_) => &mut self.rubrics,
            Record::Run(_) => &mut self.runs,
            Record::RunEvidence(_) => &mut self.evidence,
            Record::RunExclusion(_) => &mut self.exclusions,
            Record::RunPart(_) => &mut self.run_parts,
            Record::Account(_) => &mut self.accounts,
            Record::Recorded(_) => &mut self.recorded,
        } += 1;
    }

    /// Records in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            counties,
            schools,
            calendars,
            evaluated,
            terminals,
            sums,
            days,
            refusals,
            codes,
            identities,
            incidents,
            rubrics,
            runs,
            evidence,
            exclusions,
            run_parts,
            accounts,
            recorded,
        } = self;
        let registry = counties + schools + calendars + evaluated + terminals;
        let evaluation = rubrics + runs + evidence + exclusions + run_parts;
        registry
            + sums
            + days
            + refusals
            + codes
            + identities
            + incidents
            + evaluation
            + accounts
            + recorded
    }
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    end: Contents,
    /// CRC-32 of all lines before, line feeds included.
    crc32: u32,
}

/// Lines with their checksum.
struct Lines<W> {
    to: W,
    checksum: crc32fast::Hasher,
}

impl<W: Write> Lines<W> {
    fn add(&mut self, value: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.checksum.update(&line);
        self.to.write_all(&line)
    }
}

/// Writes the pages of an export until they end. Blocks. `progress` is told the records written so far.
///
/// The caller must say by `whole` whether the export ended well; if not, no file appears.
///
/// # Errors
/// `Exists` if the file is there, else the system's.
pub fn export(
    to: &Path,
    made_at: i64,
    mut pages: mpsc::Receiver<Vec<Record>>,
    progress: &mut dyn FnMut(u64),
    whole: impl FnOnce() -> Result<(), BackupError>,
) -> Result<Contents, BackupError> {
    let part = beginning(to)?;
    let contents = write_all(part.as_file(), to, made_at, &mut pages, progress, whole)?;
    finish(part, to)?;
    Ok(contents)
}

fn write_all(
    part: &File,
    to: &Path,
    made_at: i64,
    pages: &mut mpsc::Receiver<Vec<Record>>,
    progress: &mut dyn FnMut(u64),
    whole: impl FnOnce() -> Result<(), BackupError>,
) -> Result<Contents, BackupError> {
    let failed = || BackupError::file(to, "written");
    let mut lines = Lines {
        to: GzEncoder::new(BufWriter::new(part), Compression::default()),
        checksum: crc32fast::Hasher::new(),
    };
    let header = Header {
        classpulse_export: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
    };
    lines.add(&header).map_err(failed())?;
    let mut contents = Contents::default();
    while let Some(page) = pages.blocking_recv() {
        for record in &page {
            contents.count(record);
            lines.add(record).map_err(failed())?;
        }
        progress(contents.total());
    }
    whole()?;
    let end = End {
        end: contents,
        crc32: lines.checksum.clone().finalize(),
    };
    lines.add(&end).map_err(failed())?;
    let flushed = lines.to.finish().and_then(|mut buffer| buffer.flush());
    flushed.map_err(failed())?;
    Ok(contents)
}

/// Reads a whole export without keeping it, and checks that nothing is missing or altered. Blocks.
///
/// # Errors
/// `File` if it can't be read, `Wrong` with the line that is not what it should be.
pub fn check(file: &Path) -> Result<(Header, Contents), BackupError> {
    pages(file, &mut |_| Ok(()))
}

/// Hands a file's records on, page by page, checking as [`check`] does. Blocks.
///
/// # Errors
/// As [`check`], and what `take` says.
pub fn pages(
    file: &Path,
    take: &mut dyn FnMut(Vec<Record>) -> Result<(), BackupError>,
) -> Result<(Header, Contents), BackupError> {
    let open = File::open(file).map_err(BackupError::file(file, "read"))?;
    let mut reader = Reader {
        file,
        from: BufReader::new(MultiGzDecoder::new(BufReader::new(open))),
        line: Vec::new(),
        number: 0,
    };
    let mut checksum = crc32fast::Hasher::new();
    let header: Header = reader.next("the header of an export")?;
    if header.classpulse_export != FORMAT {
        let problem = format!(
            "is format {}, this program reads format {FORMAT}",
            header.classpulse_export
        );
        return Err(reader.wrong(problem));
    }
    let (mut contents, mut page, mut bytes) = (Contents::default(), Vec::new(), 0);
    loop {
        checksum.update(&reader.line);
        match reader.next::<Line>("a record")? {
            Line::Record(record) => {
                contents.count(&record);
                page.push(*record);
                bytes += reader.line.len();
                if page.len() == PAGE || bytes >= PAGE_BYTES {
                    bytes = 0;
                    take(std::mem::take(&mut page))?;
                }
            }
            Line::End(end) => {
                let sum = checksum.clone().finalize();
                if (end.end, end.crc32) != (contents, sum) {
                    return Err(reader.wrong("the end does not fit what stands before it"));
                }
                break;
            }
        }
    }
    if reader.read()? != 0 {
        return Err(reader.wrong("something follows the end"));
    }
    take(page)?;
    Ok((header, contents))
}

/// A line after the header.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Record(Box<Record>),
    End(End),
}

struct Reader<'a, R> {
    file: &'a Path,
    from: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: std::io::BufRead> Reader<'_, R> {
    fn read(&mut self) -> Result<usize, BackupError> {
        self.line.clear();
        self.number += 1;
        let mut from = self.from.by_ref().take(MAX_LINE);
        match from.read_until(b'\n', &mut self.line) {
            Ok(length) => Ok(length),
            Err(error) => Err(self.wrong(format!("the file is cut off or damaged: {error}"))),
        }
    }

    fn next<T: for<'de> Deserialize<'de>>(&mut self, what: &str) -> Result<T, BackupError> {
        if self.read()? == 0 {
            return Err(self.wrong("the file ends before its end line: it is cut off"));
        }
        serde_json::from_slice(&self.line)
            .map_err(|error| self.wrong(format!("is not {what}: {error}")))
    }

    fn wrong(&self, problem: impl Into<String>) -> BackupError {
        BackupError::wrong(self.file, Some(self.number), problem)
    }
}
