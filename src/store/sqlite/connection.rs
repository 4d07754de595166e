//! Opening connections: the settings under which a commit is durable and readers never wait for the writer.

use std::{path::Path, thread, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{failure::Failure, functions, migrations};

/// How long a statement waits for another process's transaction before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of the write-ahead log (4 KiB each) after which a commit also writes them into the database.
const CHECKPOINT_PAGES: i64 = 8_000;

/// Size to which the write-ahead log is cut back after a checkpoint, bytes.
const LOG_LIMIT: i64 = 64 << 20;

/// Page caches, in KiB (negative: that is how SQLite tells KiB from pages).
const WRITER_CACHE: i64 = -65_536;
const READER_CACHE: i64 = -8_192;

/// Opens the database for writing, creating and migrating it where needed.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Failure> {
    let mut connection = Connection::open(path)?;
    prepare(&connection, WRITER_CACHE)?;
    let migrate = migrations::needed(&mut connection, path)?;
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    if migrate {
        migrations::run(&mut connection, path)?;
    }
    Ok(connection)
}

/// Opens the database for reading only. A writer must have been opened before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection, READER_CACHE)?;
    Ok(connection)
}

fn prepare(connection: &Connection, cache: i64) -> Result<(), Failure> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", cache)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(functions::register(connection)?)
}

/// Switches to write-ahead logging. SQLite does not wait for others that are just doing the same, so this does.
fn write_ahead(connection: &Connection) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waited < BUSY_TIMEOUT =>
            {
                thread::sleep(PAUSE);
                waited += PAUSE;
            }
            done => return Ok(done?),
        }
    }
}
