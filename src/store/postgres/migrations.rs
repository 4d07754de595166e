//! Numbered changes of the schema, applied when a store is opened; the schema itself is in `migrations/*.sql`.
//!
//! The table `migration` says how far a database is, and which program took it there. Several processes may start at
//! once: one migrates, the others wait. Not responsible for moving data between backends.

use super::{
    connection::{Lock, On},
    failure::Failure,
};
use crate::store::StoreError;

/// One step of the schema. Steps are only ever added at the end.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

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
pub(super) async fn run(on: &On<'_>) -> Result<(), Failure> {
    on.lock(Lock::Migration).await?;
    let found = inspect(on).await?;
    if found == 0 {
        on.batch(
            "CREATE TABLE migration (
                number integer PRIMARY KEY, name text NOT NULL, program text NOT NULL,
                at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    }
    for (number, migration) in (1_i32..).zip(&MIGRATIONS).skip(found) {
        on.batch(migration.sql).await?;
        on.execute(
            "INSERT INTO migration (number, name, program) VALUES ($1, $2, $3)",
            &[&number, &migration.name, &env!("CARGO_PKG_VERSION")],
        )
        .await?;
    }
    Ok(())
}

/// How many steps a database has behind it.
async fn inspect(on: &On<'_>) -> Result<usize, Failure> {
    let row = on
        .row(
            "SELECT count(*) FILTER (WHERE tablename = 'migration'), count(*), current_database()::text, current_schema()::text
             FROM pg_tables WHERE schemaname = current_schema()",
            &[],
        )
        .await?;
    let (ours, tables): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (database, schema): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    if tables == 0 {
        return Ok(0);
    }
    let other = || {
        Failure::from(StoreError::Conflict(format!(
            "schema {schema} of database {database} holds another program's tables: give Classpulse a database of its own"
        )))
    };
    if ours == 0 {
        return Err(other());
    }
    let names = on
        .rows("SELECT name FROM migration ORDER BY number", &[])
        .await?;
    let found = names.len();
    for (name, known) in names.iter().zip(&MIGRATIONS) {
        if name.try_get::<_, &str>(0)? != known.name {
            return Err(other());
        }
    }
    if found > MIGRATIONS.len() {
        return Err(StoreError::Conflict(format!(
            "database {database} was written by a newer program (schema {found}, this program knows up to {}): upgrade the program",
            MIGRATIONS.len()
        ))
        .into());
    }
    Ok(found)
}
