//! Functions that SQL statements call on sets of minutes, so that merging happens inside the upsert.

use rusqlite::{
    Connection, Error,
    functions::{Context, FunctionFlags},
};

use super::values::{Bits, minutes};
use crate::domain::minutes::MinuteSet;

/// Registers the functions on a connection: `bits_or(set, set)` and `bits_count(set)`.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("bits_or", 2, flags, |context| {
        Ok(Bits::from(&(argument(context, 0)? | argument(context, 1)?)))
    })?;
    connection.create_scalar_function("bits_count", 1, flags, |context| {
        Ok(argument(context, 0)?.count())
    })
}

fn argument(context: &Context<'_>, index: usize) -> rusqlite::Result<MinuteSet> {
    minutes(context.get_raw(index)).map_err(|error| Error::UserFunctionError(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_agree_with_the_domain_and_refuse_other_lengths() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let (a, b) = (MinuteSet::of(0, 100), MinuteSet::of(1_400, 1_440));
        let or: Vec<u8> = connection
            .query_row(
                "SELECT bits_or(?1, ?2)",
                (Bits::from(&a), Bits::from(&b)),
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(MinuteSet::from_bytes(&or).unwrap(), a | b);
        let count: u32 = connection
            .query_row("SELECT bits_count(?1)", [&or], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 140);
        for wrong in ["x'00'", "NULL", "7"] {
            let sql = format!("SELECT bits_count({wrong})");
            assert!(
                connection
                    .query_row(&sql, [], |row| row.get::<_, i64>(0))
                    .is_err(),
                "{wrong}"
            );
        }
    }
}
