//! Points and quantities, exact.
//!
//! Not responsible for what is awarded (`scoring`).

use std::{fmt, iter, ops, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::domain::usage::{Fraction, display, hundredths};

/// Largest decimal that a person may write: no rubric and no count of a school comes near it.
const MAX: u128 = 1_000_000_000;

/// A text that is no decimal as rubrics and evidence have them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("应为不小于 0 的数,最多两位小数,不能是“{found}”")]
pub struct InvalidDecimal {
    found: String,
}

impl InvalidDecimal {
    fn of(text: &str) -> Self {
        // A hostile text must not flood a page.
        let found = text.chars().take(40).collect();
        Self { found }
    }
}

/// A decimal with at most two places, exact. What a person writes: 2, 1.5, 0.08.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(Fraction);

impl Decimal {
    /// None.
    pub const ZERO: Self = Self(Fraction::new_raw(0, 1));

    /// The exact value.
    #[must_use]
    pub const fn value(self) -> Fraction {
        self.0
    }

    /// As these many hundredths.
    #[must_use]
    pub fn of_hundredths(count: u64) -> Self {
        Self(Fraction::new(count.into(), 100))
    }
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Self {
        Self(Fraction::from_integer(whole.into()))
    }
}

impl FromStr for Decimal {
    type Err = InvalidDecimal;

    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        let read = read(text).filter(|value| value.to_integer() <= MAX);
        read.map(Self).ok_or_else(|| InvalidDecimal::of(text))
    }
}

/// Any decimal with at most two places that a fraction can hold; `None` for another text.
fn read(text: &str) -> Option<Fraction> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // `2.00` is 2; more places than two must not be lost in silence.
    let places = places.trim_end_matches('0');
    if whole.is_empty()
        || places.len() > 2
        || text.ends_with('.')
        || !digits(whole)
        || !digits(places)
    {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = format!("{places:0<2}").parse().ok()?;
    let hundredths = whole.checked_mul(100)?.checked_add(part)?;
    Some(Fraction::new(hundredths, 100))
}

/// Without places that say nothing: 2, 1.5, 0.08.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = display(self.0);
        f.pad(shown.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Points. Those of a rubric and an evaluator are decimals; 后台监测 may award any fraction.
///
/// Displayed rounded half up to 0.01. At most one item of a sheet is no decimal, so what is shown adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Points(Fraction);

impl Points {
    /// None.
    pub const ZERO: Self = Self(Fraction::new_raw(0, 1));

    /// Any fraction.
    #[must_use]
    pub const fn exactly(value: Fraction) -> Self {
        Self(value)
    }

    /// The exact value.
    #[must_use]
    pub const fn value(self) -> Fraction {
        self.0
    }

    /// What a sheet shows, in hundredths, rounded half up.
    #[must_use]
    pub fn hundredths(self) -> u64 {
        u64::try_from(hundredths(self.0)).unwrap_or(u64::MAX)
    }

    /// These points as often as `count` says.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0 * Fraction::from_integer(count.into()))
    }

    /// What is left after `other` is taken away; never below 0.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(if other.0 >= self.0 {
            Fraction::from_integer(0)
        } else {
            self.0 - other.0
        })
    }

    /// As a person writes them, without places that say nothing: 5, 1.5, 12.03.
    #[must_use]
    pub fn short(self) -> String {
        let shown = display(self.0);
        shown.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl From<Decimal> for Points {
    fn from(decimal: Decimal) -> Self {
        Self(decimal.0)
    }
}

impl ops::Add for Points {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl ops::AddAssign for Points {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl iter::Sum for Points {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, ops::Add::add)
    }
}

/// Two places, rounded half up.
impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&display(self.0))
    }
}

/// A decimal where it is one, such as "1.5", else the fraction, such as "8430/701": nothing is lost.
impl Serialize for Points {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if (self.0 * Fraction::from_integer(100)).is_integer() {
            to.collect_str(&Decimal(self.0))
        } else {
            to.collect_str(&format_args!("{}/{}", self.0.numer(), self.0.denom()))
        }
    }
}

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if let Some((numer, denom)) = text.split_once('/') {
            let number = |text: &str| text.parse::<u128>().map_err(de::Error::custom);
            let (above, below) = (number(numer)?, number(denom)?);
            if below == 0 {
                return Err(de::Error::custom("a fraction divides by 0"));
            }
            return Ok(Self(Fraction::new(above, below)));
        }
        // Points times a count may be more than anybody writes; what was written is read back.
        let value = read(&text).ok_or_else(|| de::Error::custom(InvalidDecimal::of(&text)))?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_exact_and_strict() {
        for (text, shown) in [
            ("2", "2"),
            ("1.5", "1.5"),
            ("0.30", "0.3"),
            ("2.000", "2"),
            ("10", "10"),
            ("0", "0"),
        ] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "-1",
            "1.",
            ".5",
            "1.234",
            "1e3",
            "1,5",
            "一",
            "99999999999",
            "1000000001",
            "999999999999999999999999999999999999999999",
        ] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn points_survive_their_text(numer in 0..10_000_000_u128, denom in 1..100_000_u128) {
            let points = Points(Fraction::new(numer, denom));
            let text = serde_json::to_string(&points).unwrap();
            prop_assert_eq!(serde_json::from_str::<Points>(&text).unwrap(), points);
        }

        #[test]
        fn points_times_any_count_survive_their_text(hundredths in 0..=100_000_000_000_u64, count in 0..=1_000_000_u64) {
            let points = Points::from(Decimal::of_hundredths(hundredths)).times(count);
            let text = serde_json::to_string(&points).unwrap();
            prop_assert_eq!(serde_json::from_str::<Points>(&text).unwrap(), points);
        }

        #[test]
        fn taking_away_stops_at_0(a in 0..1_000_u64, b in 0..1_000_u64) {
            let (a, b) = (Points::from(Decimal::of_hundredths(a)), Points::from(Decimal::of_hundredths(b)));
            prop_assert_eq!(a.less(b) + if a < b { a } else { b }, a);
        }
    }
}
