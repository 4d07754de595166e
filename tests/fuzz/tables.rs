//! Tables of schools and terminals: CSV and XLSX from anyone's hands.

use std::sync::LazyLock;

use classpulse::{
    registry::{self, Format, ImportReport},
    store::{Store as _, sqlite::SqliteStore},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::{seeds, target};

const SCHOOLS: &str = include_str!("../../deploy/registry/schools.csv");

/// A county that knows a few schools, for tables to be compared with.
struct County {
    runtime: Runtime,
    store: SqliteStore,
    _folder: TempDir,
}

impl County {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let county = Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            store: SqliteStore::open(&folder.path().join("county.db")).unwrap(),
            _folder: folder,
        };
        let report = county.import(SCHOOLS.as_bytes(), None, false);
        assert!(report.applied, "{:?}", report.errors);
        county
    }

    fn import(&self, bytes: &[u8], format: Option<Format>, dry_run: bool) -> ImportReport {
        let import = registry::import(&self.store, bytes, format, "fuzz", dry_run);
        self.runtime.block_on(import).unwrap()
    }

    fn schools(&self) -> usize {
        let code = "231123".parse().unwrap();
        self.runtime
            .block_on(self.store.schools(&code))
            .unwrap()
            .len()
    }
}

/// All or nothing: a table with a mistake changes nothing, and each mistake says where and what.
fn tried(bytes: &[u8], format: Option<Format>) {
    thread_local! {
        static COUNTY: County = County::new();
    }
    COUNTY.with(|county| {
        let before = county.schools();
        let report = county.import(bytes, format, true);
        assert!(!report.applied);
        for error in &report.errors {
            assert!(!error.message.is_empty(), "{error:?}");
        }
        if !report.errors.is_empty() {
            assert!(!county.import(bytes, format, false).applied);
        }
        assert_eq!(county.schools(), before);
    });
}

target!(
    /// Whatever is uploaded, told apart by its bytes.
    any_file_is_a_table_or_refused,
    1_000,
    |bytes: &[u8]| tried(bytes, None)
);

target!(
    /// A table that is applied says at its second import that nothing is new.
    an_applied_table_is_known,
    60,
    |bytes: &[u8]| {
        thread_local! {
            static KNOWN: County = County::new();
        }
        // Only what a look finds sound is worth a store of its own.
        let sound = KNOWN.with(|county| {
            let report = county.import(bytes, Some(Format::Csv), true);
            report.errors.is_empty() && report.added + report.changed > 0
        });
        if sound {
            let fresh = County::new();
            assert!(fresh.import(bytes, Some(Format::Csv), false).applied);
            let again = fresh.import(bytes, Some(Format::Csv), false);
            assert!(again.errors.is_empty(), "{:?}", again.errors);
            assert_eq!((again.added, again.changed), (0, 0));
        }
    }
);

pub(crate) static WORKBOOK: LazyLock<seeds::Parts> =
    LazyLock::new(|| seeds::parts(&seeds::schools_workbook()));

target!(
    /// A workbook of which one part was written by somebody else.
    any_part_of_a_workbook_may_lie,
    500,
    |bytes: &[u8]| {
        if let Some((which, part)) = bytes.split_first() {
            tried(&WORKBOOK.with_part(*which, part), None);
        }
    }
);
