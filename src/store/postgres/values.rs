//! How domain values stand in columns, and back; what can't be read back is damage, never a guess.

use std::{borrow::Cow, error::Error, str::FromStr};

use bytes::{BufMut as _, BytesMut};
use jiff::{SignedDuration, civil::Date};
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked},
};

use super::failure::Failure;
use crate::{
    domain::{
        minutes::{DayMinutes, MINUTES_PER_DAY, MinuteSet},
        usage::Period,
    },
    store::StoreError,
};

type Fault = Box<dyn Error + Sync + Send>;

/// PostgreSQL counts days from here.
const EPOCH: Date = jiff::civil::date(2000, 1, 1);

/// The last day of what goes on.
const FOREVER: Date = jiff::civil::date(9999, 12, 31);

/// A stored value that is none of ours.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(String);

/// A date.
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

    /// Days since 2000-01-01.
    fn number(self) -> i64 {
        self.0.duration_since(EPOCH).as_hours() / 24
    }
}

impl ToSql for Day {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        out.put_i32(i32::try_from(self.number())?);
        Ok(IsNull::No)
    }

    accepts!(DATE);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Day {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        let unreadable = || Unreadable(format!("{raw:?} is no date"));
        let bytes: [u8; 4] = raw.try_into().map_err(|_length| unreadable())?;
        let hours = i64::from(i32::from_be_bytes(bytes)) * 24;
        let date = EPOCH.checked_add(SignedDuration::from_hours(hours));
        Ok(Self(date.map_err(|_range| unreadable())?))
    }

    accepts!(DATE);
}

/// A set of minutes as `bit(1440)`.
#[derive(Debug)]
pub(super) struct Bits(pub(super) MinuteSet);

impl ToSql for Bits {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        out.put_i32(i32::from(MINUTES_PER_DAY));
        out.put_slice(&self.0.to_bytes());
        Ok(IsNull::No)
    }

    accepts!(BIT, VARBIT);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Bits {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        let wrong = |said: String| Fault::from(Unreadable(said));
        let Some((length, bits)) = raw.split_first_chunk::<4>() else {
            return Err(wrong("bits without a length".to_owned()));
        };
        let length = i32::from_be_bytes(*length);
        if length != i32::from(MINUTES_PER_DAY) {
            return Err(wrong(format!(
                "a set of minutes has {MINUTES_PER_DAY} bits, not {length}"
            )));
        }
        Ok(Self(
            MinuteSet::from_bytes(bits).map_err(|error| wrong(error.to_string()))?,
        ))
    }

    accepts!(BIT, VARBIT);
}

/// Reads a text that is a code, an id or a stage.
pub(super) fn text<T: FromStr<Err: Error>>(row: &Row, at: usize) -> Result<T, Failure> {
    let text: &str = row.try_get(at)?;
    text.parse()
        .map_err(|error: T::Err| StoreError::Damaged(format!("{text:?}: {error}")).into())
}

/// Reads `powered, used, last_seen`, of which the first is column `at`.
pub(super) fn day_minutes(row: &Row, at: usize) -> Result<DayMinutes, Failure> {
    Ok(DayMinutes {
        powered: row.try_get::<_, Bits>(at)?.0,
        used: row.try_get::<_, Bits>(at + 1)?.0,
        last_seen: row.try_get(at + 2)?,
    })
}

/// Reads `first, last`, of which the first is column `at`.
pub(super) fn period(row: &Row, at: usize) -> Result<Period, Failure> {
    Ok(Period {
        first: row.try_get::<_, Day>(at)?.0,
        last: row.try_get::<_, Day>(at + 1)?.0,
    })
}

/// A sum as it is stored.
pub(super) fn signed(sum: u64) -> Result<i64, StoreError> {
    i64::try_from(sum).map_err(|error| StoreError::Damaged(format!("a sum of {sum}: {error}")))
}

/// Reads a number that is never negative.
pub(super) fn unsigned(row: &Row, at: usize) -> Result<u64, Failure> {
    let stored: i64 = row.try_get(at)?;
    u64::try_from(stored)
        .map_err(|error| StoreError::Damaged(format!("a count of {stored}: {error}")).into())
}

/// Reads a number that fits 32 bits and is never negative.
pub(super) fn unsigned32(row: &Row, at: usize) -> Result<u32, Failure> {
    let stored: i64 = row.try_get(at)?;
    u32::try_from(stored)
        .map_err(|error| StoreError::Damaged(format!("a count of {stored}: {error}")).into())
}

/// Reads bytes of a fixed length.
pub(super) fn fixed<const N: usize>(row: &Row, at: usize) -> Result<[u8; N], Failure> {
    let stored: &[u8] = row.try_get(at)?;
    stored
        .try_into()
        .map_err(|_length| StoreError::Damaged(format!("{} bytes, not {N}", stored.len())).into())
}

/// The same where there may be none.
pub(super) fn maybe_fixed<const N: usize>(
    row: &Row,
    at: usize,
) -> Result<Option<[u8; N]>, Failure> {
    let found: Option<&[u8]> = row.try_get(at)?;
    found.map(|_| fixed(row, at)).transpose()
}

/// A text as PostgreSQL can hold it: its texts have no NUL.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_value_of_ours_is_said_to_be_unreadable() {
        let short = [0, 0, 5, 160, 1, 2];
        for raw in [&short[..], &[0, 0], &[0, 0, 0, 8, 255]] {
            let error = Bits::from_sql(&Type::BIT, raw).unwrap_err();
            assert!(error.is::<Unreadable>(), "{error}");
        }
        assert!(Day::from_sql(&Type::DATE, &i32::MAX.to_be_bytes()).is_err());
        assert_eq!(storable("a\0b"), "a\u{FFFD}b");
        assert_eq!(Day::end(None).to(), None);
    }

    proptest! {
        #[test]
        fn days_and_minutes_read_back_as_written(days in -100_000..2_900_000_i32, start in 0..1_440_u16, length in 0..300_u16) {
            let day = Day::from_sql(&Type::DATE, &days.to_be_bytes()).unwrap();
            let mut out = BytesMut::new();
            day.to_sql(&Type::DATE, &mut out).unwrap();
            prop_assert_eq!(&out[..], days.to_be_bytes());
            let set = MinuteSet::of(start, start + length);
            let mut out = BytesMut::new();
            Bits(set).to_sql(&Type::VARBIT, &mut out).unwrap();
            prop_assert_eq!(Bits::from_sql(&Type::BIT, &out).unwrap().0, set);
        }
    }

    #[test]
    fn the_epoch_is_postgresqls() {
        assert_eq!(Day(date(2000, 1, 2)).number(), 1);
        assert_eq!(Day(date(1999, 12, 31)).number(), -1);
    }
}
