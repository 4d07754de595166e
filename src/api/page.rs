//! Pages: their size, and opaque tokens that say where the next one begins.
//!
//! A token holds the last entry's key and a hash of the question, so that it can't be used with another question.
//! Not responsible for order: the services compare keys.

use tonic::Status;

use super::error;

/// Entries a page where the request says nothing.
const DEFAULT_SIZE: u32 = 100;

/// Most entries a page.
const MAX_SIZE: u32 = 1_000;

/// Longest token that is looked at; the longest that is made has well under 400.
const MAX_TOKEN: usize = 1_024;

/// A page's size from the request's `page_size`.
pub(super) fn size(asked: u32) -> Result<u32, Status> {
    match asked {
        0 => Ok(DEFAULT_SIZE),
        1..=MAX_SIZE => Ok(asked),
        _ => Err(error::field(
            "page_size",
            format!("{asked} is more than {MAX_SIZE}"),
        )),
    }
}

/// The question that a token belongs to: everything that chooses or orders the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question(u64);

impl Question {
    /// FNV-1a over the method and its filters, each with its length: a guard against mix-ups, not a secret.
    pub(super) fn new(parts: &[&str]) -> Self {
        let bytes = parts
            .iter()
            .flat_map(|part| part.len().to_be_bytes().into_iter().chain(part.bytes()));
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        }))
    }

    /// The token of the page after the entry with this key.
    pub(super) fn token(self, key: &str) -> String {
        let bytes = self.0.to_be_bytes().into_iter().chain(key.bytes());
        let digits = bytes.flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits
            .map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'))
            .collect()
    }

    /// The key in a token; `None` for the first page.
    pub(super) fn key(self, token: &str) -> Result<Option<String>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let (hash, key) = decode(token).ok_or_else(unreadable)?;
        if hash != self.0 {
            return Err(error::field(
                "page_token",
                "belongs to another question, begin again without a token",
            ));
        }
        Ok(Some(key))
    }
}

/// The refusal of a token that nobody made.
pub(super) fn unreadable() -> Status {
    error::field(
        "page_token",
        "is none that this service gave, begin again without a token",
    )
}

fn decode(token: &str) -> Option<(u64, String)> {
    if token.len() > MAX_TOKEN || !token.len().is_multiple_of(2) || !token.is_ascii() {
        return None;
    }
    let pairs = token.as_bytes().chunks_exact(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::try_from(hex(pair[0])? << 4 | hex(pair[1])?).ok())
        .collect();
    let bytes = bytes?;
    let (hash, key) = bytes.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*hash),
        String::from_utf8(key.to_vec()).ok()?,
    ))
}

fn hex(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (asked, expected) in [
            (0, Some(100)),
            (1, Some(1)),
            (1_000, Some(1_000)),
            (1_001, None),
        ] {
            assert_eq!(size(asked).ok(), expected);
        }
    }

    #[test]
    fn questions_differ_in_every_part() {
        let one = Question::new(&["schools", "231123", "", "a"]);
        for other in [
            ["schools", "231123", "a", ""],
            ["schools", "23112", "3", "a"],
            ["terminals", "231123", "", "a"],
        ] {
            assert_ne!(one, Question::new(&other));
        }
        let token = one.token("12/5/2123000001");
        assert_eq!(one.key(&token).unwrap().as_deref(), Some("12/5/2123000001"));
        assert_eq!(one.key("").unwrap(), None);
        assert!(
            Question::new(&["schools"])
                .key(&token)
                .unwrap_err()
                .message()
                .contains("another question")
        );
    }

    proptest! {
        #[test]
        fn no_token_panics_and_made_ones_are_read(key in "[ -~]{0,80}", noise in "\\PC{0,40}", cut in 1..20_usize) {
            let question = Question::new(&["x", &key]);
            let token = question.token(&key);
            prop_assert_eq!(question.key(&token).unwrap(), Some(key));
            prop_assert!(noise.is_empty() || question.key(&noise).is_err());
            prop_assert!(cut >= token.len() || question.key(&token[..cut.min(15)]).is_err());
        }
    }
}
