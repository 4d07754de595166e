//! Numbered changes of the schema, applied when a database is opened; the schema itself is in `migrations/*.sql`.
//!
//! `PRAGMA user_version` says how far a database is; the table `migration` says which program took it there.
//! Not responsible for moving data between backends.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::failure::Failure;
use crate::store::StoreError;

/// One step of the schema. Steps are only ever added at the end.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// `PRAGMA application_id` of a Classpulse database: "CLPS", set by the first step.
const APPLICATION: i64 = 0x434C_5053;

/// In order; the first has number 1.
const MIGRATIONS: [Migration; 6] = [
    Migration {
        name: "minutes",
        sql: include_str!("migrations/0001_minutes.sql"),
    },
    Migration {
        name: "retention",
        sql: include_str!("migrations/0002_retention.sql"),
    },
    Migration {
        name: "identity",
        sql: include_str!("migrations/0003_identity.sql"),
    },
    Migration {
        name: "evaluation",
        sql: include_str!("migrations/0004_evaluation.sql"),
    },
    Migration {
        name: "keys",
        sql: include_str!("migrations/0005_keys.sql"),
    },
    Migration {
        name: "access",
        sql: include_str!("migrations/0006_access.sql"),
    },
];

/// Brings a database up to date, all steps in one transaction.
///
/// # Errors
/// `Conflict` for a database of a newer program or of another one; nothing is changed then.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = inspect(&transaction, path)?;
    if found == 0 {
        transaction.execute_batch(
            "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, program TEXT NOT NULL) STRICT",
        )?;
    }
    for (number, migration) in (1_i64..).zip(&MIGRATIONS).skip(found) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migration (number, name, program) VALUES (?1, ?2, ?3)",
            (number, migration.name, env!("CARGO_PKG_VERSION")),
        )?;
        transaction.pragma_update(None, "user_version", number)?;
    }
    Ok(transaction.commit()?)
}

/// A table as this program lays it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
}

/// The tables of this program's schema, laid out in memory: for whoever must say what is kept.
///
/// # Errors
/// `Driver`, where there is no memory for it.
pub fn schema() -> Result<Vec<Table>, StoreError> {
    laid_out().map_err(|error| error.while_doing("lay out its schema"))
}

fn laid_out() -> Result<Vec<Table>, Failure> {
    let mut connection = Connection::open_in_memory()?;
    run(&mut connection, Path::new(":memory:"))?;
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    )?;
    let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut tables = Vec::new();
    for name in names {
        let of = columns.query_map([&name], |row| row.get(0))?;
        let columns = of.collect::<Result<_, _>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

/// Refuses what is not for this program before anything touches it. True if steps are missing.
pub(super) fn needed(connection: &mut Connection, path: &Path) -> Result<bool, Failure> {
    let transaction = connection.transaction()?;
    let found = inspect(&transaction, path)?;
    transaction.finish()?;
    Ok(found < MIGRATIONS.len())
}

/// How many steps a database has behind it.
fn inspect(transaction: &Transaction<'_>, path: &Path) -> Result<usize, Failure> {
    let found = version(transaction)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 =
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let (path, known) = (path.display(), MIGRATIONS.len());
    if tables != 0 && application != APPLICATION {
        return Err(StoreError::Conflict(format!("{path} is another program's database")).into());
    }
    if found > known {
        return Err(StoreError::Conflict(format!(
            "{path} was written by a newer program (schema {found}, this program knows up to {known}): upgrade the program"
        ))
        .into());
    }
    Ok(found)
}

fn version(connection: &Connection) -> Result<usize, Failure> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|error| StoreError::Damaged(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::*;

    fn opened(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(path)
    }

    #[test]
    fn a_database_is_migrated_once_and_says_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classpulse.db");
        drop(opened(&path).unwrap());
        drop(opened(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        assert_eq!(version(&connection).unwrap(), MIGRATIONS.len());
        let steps: i64 = connection
            .query_row(
                "SELECT count(*) FROM migration WHERE program <> ''",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(usize::try_from(steps).unwrap(), MIGRATIONS.len());
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classpulse.db");
        drop(opened(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 999).unwrap();
        let error = opened(&path).unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict(said) if said.contains("schema 999")),
            "{error}"
        );
        assert_eq!(version(&connection).unwrap(), 999);
    }

    #[test]
    fn another_programs_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        assert!(matches!(opened(&path), Err(StoreError::Conflict(_))));
        std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
        assert!(matches!(opened(&path), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn many_may_open_a_new_database_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classpulse.db");
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| opened(&path).map(drop)))
                .collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
    }
}
