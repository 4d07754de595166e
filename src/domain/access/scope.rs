//! The part of the country that an account or a token is about. Not responsible for which school lies where (registry).

use std::{fmt, str::FromStr};

use crate::domain::ids::{CountyCode, InvalidId, SchoolCode, invalid, parsed};

/// Longest name of a township, characters.
const MAX_TOWNSHIP: usize = 40;

/// A part. Its text form (`all`, `county:231123`, `township:231123/奇克镇`, `school:2123000001`) is stable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything that the service keeps.
    All,
    /// A county.
    County(CountyCode),
    /// A county's township, by its name in the registry: its schools, and the county's ranking.
    Township(CountyCode, String),
    /// A school: itself, and its county's ranking.
    School(SchoolCode),
}

impl Scope {
    /// Whether it is less than a county.
    #[must_use]
    pub const fn is_narrow(&self) -> bool {
        matches!(self, Self::Township(..) | Self::School(_))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::County(county) => write!(f, "county:{county}"),
            Self::Township(county, name) => write!(f, "township:{county}/{name}"),
            Self::School(school) => write!(f, "school:{school}"),
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || {
            let expected = "all, county:231123, township:231123/奇克镇 or school:2123000001";
            invalid("a scope", expected, text)
        };
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            Some(("county", code)) => Ok(Self::County(code.parse()?)),
            Some(("school", code)) => Ok(Self::School(code.parse()?)),
            Some(("township", rest)) => {
                let (county, name) = rest.split_once('/').ok_or_else(wrong)?;
                let fits = (1..=MAX_TOWNSHIP).contains(&name.chars().count())
                    && !name.chars().any(char::is_control)
                    && name.trim() == name;
                if !fits {
                    return Err(wrong());
                }
                Ok(Self::Township(county.parse()?, name.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

impl serde::Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_as_written() {
        for text in [
            "all",
            "county:231123",
            "township:231123/奇克镇",
            "school:2123000001",
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "county:",
            "county:1",
            "township:231123",
            "township:231123/",
            "township:231123/ a",
            "school:",
            "ALL",
            "all:",
        ] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
