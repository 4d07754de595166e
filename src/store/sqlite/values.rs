//! How domain values stand in columns, and back; what can't be read back is damage, never a guess.

use std::{error::Error, str::FromStr};

use jiff::{SignedDuration, civil::Date};
use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::{
    domain::{
        minutes::{BYTES, DayMinutes, MinuteSet},
        usage::Period,
    },
    store::StoreError,
};

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// The last day of what goes on.
const FOREVER: Date = jiff::civil::date(9999, 12, 31);

/// A date as days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(pub(super) Date);

impl Day {
    /// A placement's last day, 9999-12-31 while it goes on.
    pub(super) fn end(to: Option<Date>) -> Self {
        Self(to.unwrap_or(FOREVER))
    }

    /// The reverse of [`Day::end`].
    pub(super) fn to(self) -> Option<Date> {
        (self.0 != FOREVER).then_some(self.0)
    }
}

impl ToSql for Day {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((self.0.duration_since(EPOCH).as_hours() / 24).into())
    }
}

impl FromSql for Day {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let days = value.as_i64()?;
        let out_of_range = FromSqlError::OutOfRange(days);
        let Some(hours) = days.checked_mul(24) else {
            return Err(out_of_range);
        };
        match EPOCH.checked_add(SignedDuration::from_hours(hours)) {
            Ok(date) => Ok(Self(date)),
            Err(_) => Err(out_of_range),
        }
    }
}

/// A text that is a code, an id or a stage.
pub(super) struct Text<T>(pub(super) T);

impl<T: FromStr<Err: Error + Send + Sync + 'static>> FromSql for Text<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// A set of minutes as its 180 bytes.
pub(super) struct Bits([u8; BYTES]);

impl From<&MinuteSet> for Bits {
    fn from(set: &MinuteSet) -> Self {
        Self(set.to_bytes())
    }
}

impl ToSql for Bits {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

/// A set of minutes, read.
pub(super) fn minutes(value: ValueRef<'_>) -> FromSqlResult<MinuteSet> {
    MinuteSet::from_bytes(value.as_blob()?).map_err(FromSqlError::other)
}

struct Set(MinuteSet);

impl FromSql for Set {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        minutes(value).map(Self)
    }
}

/// Reads `powered, used, last_seen`, of which the first is column `at`.
pub(super) fn day_minutes(row: &Row<'_>, at: usize) -> rusqlite::Result<DayMinutes> {
    Ok(DayMinutes {
        powered: row.get::<_, Set>(at)?.0,
        used: row.get::<_, Set>(at + 1)?.0,
        last_seen: row.get(at + 2)?,
    })
}

/// Reads `first, last`, of which the first is column `at`.
pub(super) fn period(row: &Row<'_>, at: usize) -> rusqlite::Result<Period> {
    Ok(Period {
        first: row.get::<_, Day>(at)?.0,
        last: row.get::<_, Day>(at + 1)?.0,
    })
}

/// A sum as it is stored.
pub(super) fn signed(sum: u64) -> Result<i64, StoreError> {
    i64::try_from(sum).map_err(|error| StoreError::Damaged(format!("a sum of {sum}: {error}")))
}

/// Reads a number that is never negative.
pub(super) fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(at)?;
    u64::try_from(stored).map_err(|_negative| rusqlite::Error::IntegralValueOutOfRange(at, stored))
}

/// Reads a number that fits 32 bits and is never negative.
pub(super) fn unsigned32(row: &Row<'_>, at: usize) -> rusqlite::Result<u32> {
    row.get(at)
}

/// Reads bytes of a fixed length.
pub(super) fn fixed<const N: usize>(row: &Row<'_>, at: usize) -> rusqlite::Result<[u8; N]> {
    row.get(at)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn the_end_of_what_goes_on_is_the_schemas_number() {
        let days = |day: Day| match day.to_sql().unwrap() {
            ToSqlOutput::Owned(Value::Integer(days)) => days,
            other => panic!("{other:?}"),
        };
        assert_eq!(days(Day::end(None)), 2_932_896);
        assert_eq!(days(Day(date(1970, 1, 2))), 1);
        assert_eq!(days(Day(date(1969, 12, 31))), -1);
        assert_eq!(Day::end(None).to(), None);
        assert!(Day::column_result(ValueRef::Integer(i64::MAX)).is_err());
        assert!(Day::column_result(ValueRef::Integer(10_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn days_read_back_as_written(days in -100_000..2_932_896_i64) {
            let day = Day::column_result(ValueRef::Integer(days)).unwrap();
            prop_assert_eq!(day.to_sql().unwrap(), ToSqlOutput::from(days));
        }
    }
}
