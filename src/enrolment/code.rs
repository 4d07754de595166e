//! Enrolment codes: what people read off a sheet and type on a machine.
//!
//! Not responsible for what a code may do (store).

use jiff::Timestamp;
use subtle::ConstantTimeEq as _;

use super::digest;
use crate::{
    domain::ids::SchoolCode,
    store::{Digest, EnrolmentCode, NewCode, Store, StoreError},
};

/// What a code is made of: nothing that is taken for something else on paper (0 O, 1 I L, U V).
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code, dashes not counted: 58 random bits.
const LENGTH: usize = 12;

/// Characters between dashes.
const GROUP: usize = 4;

/// Most machines that one code may enrol.
pub const MAX_USES: u32 = 1_000;

/// Longest that a code holds, days.
pub const MAX_DAYS: u32 = 365;

/// A code in its normal form. Not printed by accident: it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Code([u8; LENGTH]);

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(…)")
    }
}

impl Code {
    /// A new one, from the system's random generator.
    #[must_use]
    pub fn draw() -> Self {
        Self(std::array::from_fn(|_| {
            ALPHABET[rand::random_range(0..ALPHABET.len())]
        }))
    }

    /// The code that a text stands for: case, blanks and dashes do not matter, nor whether an input method made its
    /// characters wide. `None` for what can't be a code.
    #[must_use]
    pub fn normal(text: &str) -> Option<Self> {
        let mut code = [0; LENGTH];
        let mut length = 0;
        for c in text.chars() {
            // ! to ~ have wide forms from U+FF01 on.
            let c = match c {
                '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0)?,
                _ => c,
            };
            if c.is_whitespace() || matches!(c, '-' | '–' | '—' | '−') {
                continue;
            }
            let byte = u8::try_from(c.to_ascii_uppercase()).ok()?;
            if !ALPHABET.contains(&byte) {
                return None;
            }
            *code.get_mut(length)? = byte;
            length += 1;
        }
        (length == LENGTH).then_some(Self(code))
    }

    /// As it is typed: `7KQ4-M2XD-9TRA`.
    #[must_use]
    pub fn text(&self) -> String {
        let groups = self.0.chunks(GROUP);
        let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
        groups.join("-")
    }

    /// Whether two are the same, without telling by its time how far they agree.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.0)
    }
}

/// For which school, how often, how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The school.
    pub school: SchoolCode,
    /// How many machines, 1 to [`MAX_USES`].
    pub uses: u32,
    /// How many days, 1 to [`MAX_DAYS`].
    pub days: u32,
}

/// Makes a code and keeps its hash: the text is in this answer and nowhere else.
///
/// # Errors
/// The store's; `NotFound` where the school is not registered.
pub async fn create_code(
    store: &dyn Store,
    terms: Terms,
    now: Timestamp,
) -> Result<(String, EnrolmentCode), StoreError> {
    let code = Code::draw();
    let created_at = now.as_second();
    let new = NewCode {
        hash: code.digest(),
        school: terms.school,
        uses: terms.uses.clamp(1, MAX_USES),
        created_at,
        expires_at: created_at + i64::from(terms.days.clamp(1, MAX_DAYS)) * 86_400,
    };
    Ok((code.text(), store.add_code(new).await?))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = Code::normal("7KQ4-M2XD-9TRA").unwrap();
        assert_eq!(code.text(), "7KQ4-M2XD-9TRA");
        for text in [
            "7kq4m2xd9tra",
            " 7KQ4 – m2xd — 9TRA\n",
            "７ＫＱ４－Ｍ２ＸＤ－９ＴＲＡ",
            "7KQ4　M2XD-9TRA",
        ] {
            assert!(
                Code::normal(text).is_some_and(|read| read.is(&code)),
                "{text}"
            );
        }
        for text in [
            "",
            "7KQ4-M2XD-9TR",
            "7KQ4-M2XD-9TRAA",
            "7KQ4-M2XD-9TR0",
            "7KQ4-M2XD-9TRU",
            "7KQ4_M2XD_9TRA",
            "七KQ4-M2XD-9TRA",
        ] {
            assert_eq!(Code::normal(text), None, "{text}");
        }
        assert!(!code.is(&Code::normal("7KQ4-M2XD-9TRB").unwrap()));
        assert_eq!(format!("{code:?}"), "Code(…)");
    }

    #[test]
    fn codes_differ_and_use_the_whole_alphabet() {
        let drawn: Vec<_> = (0..1_000).map(|_| Code::draw()).collect();
        let texts: HashSet<_> = drawn.iter().map(Code::text).collect();
        assert_eq!(texts.len(), drawn.len());
        let used: HashSet<u8> = drawn.iter().flat_map(|code| code.0).collect();
        assert_eq!(used.len(), ALPHABET.len());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_drawn_codes_are_read(text in "\\PC{0,40}") {
            if let Some(code) = Code::normal(&text) {
                prop_assert!(Code::normal(&code.text()).is_some_and(|again| again.is(&code)));
            }
            let code = Code::draw();
            prop_assert!(Code::normal(&code.text().to_lowercase()).is_some_and(|again| again.is(&code)));
        }
    }
}
