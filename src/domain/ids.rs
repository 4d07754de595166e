//! Identities: types that carry what a text stands for, checked once at the edge.
//!
//! Not responsible for whether such a county, school or terminal exists: that is the registry.

use std::{fmt, str::FromStr, sync::Arc};

use classpulse_proto::topic;

/// A text that is not the identity it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {expected}, not {found:?}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
    found: String,
}

pub(in crate::domain) fn invalid(
    what: &'static str,
    expected: &'static str,
    found: &str,
) -> InvalidId {
    // A hostile text must not flood a log.
    let found = found.chars().take(80).collect();
    InvalidId {
        what,
        expected,
        found,
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        // A county's page copies thousands of them.
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(invalid($what, $expected, text))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                parsed(from)
            }
        }
    };
}

/// Reads a text and checks it.
pub(in crate::domain) fn parsed<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr<Err = InvalidId>,
    D: serde::Deserializer<'de>,
{
    let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

text_id! {
    /// A county's administrative code: six digits (GB/T 2260), such as 231123 for 逊克县.
    CountyCode, "a county code", "six digits",
    |text| text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit())
}

text_id! {
    /// 学校标识码: ten digits; a 教学点 without one has a local key of 1 to 20 letters, digits and `-`.
    SchoolCode, "a school code (学校标识码)", "ten digits, or a local key of 1 to 20 letters, digits and '-' with at least one letter",
    |text| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if digits {
            text.len() == 10
        } else {
            (1..=20).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && text.bytes().any(|b| b.is_ascii_alphabetic())
        }
    }
}

text_id! {
    /// A terminal's id, as in its MQTT topic.
    TerminalId, "a terminal id", "1 to 64 of A-Z a-z 0-9 . _ -", topic::is_terminal
}

text_id! {
    /// A login name: what an account is called. Never a person's own name, identity number or telephone number.
    Login, "a login name", "2 to 32 of a-z 0-9 . _ -, beginning with a letter",
    |text| {
        (2..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    }
}

/// School stage (学段). Timetables and comparisons may differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// 小学
    Primary,
    /// 初中
    Junior,
    /// 高中
    Senior,
    /// 九年一贯制: primary and junior in one school.
    NineYear,
    /// 十二年一贯制: primary, junior and senior in one school.
    TwelveYear,
    /// 完全中学: junior and senior in one school.
    Secondary,
    /// 教学点: a small teaching point, mostly primary.
    TeachingPoint,
    /// 中职: vocational.
    Vocational,
    /// 特殊教育
    Special,
    /// 幼儿园
    Kindergarten,
}

impl Stage {
    /// Every stage, in the order in which sheets list them.
    pub const ALL: [Self; 10] = [
        Self::Primary,
        Self::Junior,
        Self::Senior,
        Self::NineYear,
        Self::TwelveYear,
        Self::Secondary,
        Self::TeachingPoint,
        Self::Vocational,
        Self::Special,
        Self::Kindergarten,
    ];

    /// The Chinese name, as registries write and accept it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "小学",
            Self::Junior => "初中",
            Self::Senior => "高中",
            Self::NineYear => "九年一贯制",
            Self::TwelveYear => "十二年一贯制",
            Self::Secondary => "完全中学",
            Self::TeachingPoint => "教学点",
            Self::Vocational => "中职",
            Self::Special => "特殊教育",
            Self::Kindergarten => "幼儿园",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Stage {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| {
                invalid(
                    "a school stage (学段)",
                    "one of 小学, 初中, 高中, 九年一贯制, 十二年一贯制, 完全中学, 教学点, 中职, 特殊教育, 幼儿园",
                    text,
                )
            })
    }
}

impl serde::Serialize for Stage {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Stage {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn school_codes_are_ten_digits_or_a_local_key() {
        for good in ["2123000001", "XK-JXD-01", "a"] {
            assert_eq!(good.parse::<SchoolCode>().unwrap().as_str(), good);
        }
        for bad in ["", "212300000", "21230000011", "12-3", "学校", "a b"] {
            assert!(bad.parse::<SchoolCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn county_codes_are_six_digits() {
        assert!("231123".parse::<CountyCode>().is_ok());
        assert!("23112".parse::<CountyCode>().is_err());
        assert!("23112a".parse::<CountyCode>().is_err());
    }

    #[test]
    fn stages_read_what_they_print_and_an_error_lists_them() {
        for stage in Stage::ALL {
            assert_eq!(stage.to_string().parse::<Stage>().unwrap(), stage);
        }
        let error = "大学".parse::<Stage>().unwrap_err().to_string();
        assert!(error.contains("初中") && error.contains("大学"), "{error}");
    }
}
