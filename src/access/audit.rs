//! The check of the audit log, entry by entry from its beginning.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    store::{Chain, Fault, Head, Recorded, Store, StoreError},
    tables::harmless,
};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were looked at.
    pub entries: u64,
    /// The log's end: note it elsewhere, for a later check.
    pub head: Head,
    /// Everything that is wrong, at most a hundred faults; empty for a whole log.
    pub faults: Vec<Fault>,
}

/// Checks the whole log; `noted` is an end that was noted elsewhere.
///
/// # Errors
/// The store's, `Damaged` where an entry can't even be read.
pub async fn verify(store: &dyn Store, noted: Option<Head>) -> Result<Verified, StoreError> {
    let mut chain = Chain::new(noted);
    let (mut entries, mut last, mut ended) = (0, i64::MIN, false);
    let kept = loop {
        let page = store.audit_after(last).await?;
        ended = page.is_empty() && ended;
        for one in &page {
            entries += 1;
            chain.take(one);
            last = one.number;
        }
        if page.is_empty() {
            let kept = store.audit_head().await?;
            // More may have been recorded since the page was read: then there is a page more.
            if chain.head() == kept || ended {
                break kept;
            }
            ended = true;
        }
    };
    let (faults, head) = match chain.finish(kept) {
        Ok(head) => (Vec::new(), head),
        Err(faults) => (faults, kept),
    };
    Ok(Verified {
        entries,
        head,
        faults,
    })
}

/// Entries as a file that Excel and WPS open rightly, in the order given.
///
/// # Errors
/// None in practice: writing to memory does not fail.
pub fn csv(entries: &[Recorded], zone: &TimeZone) -> Result<Vec<u8>, csv::Error> {
    let mut file = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(b"\xef\xbb\xbf".to_vec());
    file.write_record(HEADINGS)?;
    for one in entries {
        file.write_record(cells(one, zone).iter().map(|cell| harmless(cell)))?;
    }
    file.into_inner().map_err(|error| error.into_error().into())
}

/// Columns of an entry in files.
pub const HEADINGS: [&str; 9] = [
    "编号",
    "时间",
    "谁",
    "来自",
    "操作",
    "对象",
    "之前",
    "之后",
    "校验值",
];

/// An entry under [`HEADINGS`], its time in a zone.
#[must_use]
pub fn cells(one: &Recorded, zone: &TimeZone) -> [String; 9] {
    let entry = &one.entry;
    let at = Timestamp::from_second(entry.at).map_or_else(
        |_| entry.at.to_string(),
        |at| {
            zone.to_datetime(at)
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    );
    [
        one.number.to_string(),
        at,
        entry.who.clone(),
        entry.origin.clone(),
        entry.action.clone(),
        entry.target.clone(),
        entry.before.clone(),
        entry.after.clone(),
        one.hash.to_string(),
    ]
}
