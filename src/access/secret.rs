//! Secrets that are drawn, not chosen: 256 random bits each, of which only SHA-256 is kept.
//!
//! A secret is looked up by its hash, so that no comparison tells by its time how far a guess agrees.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::store::Digest;

/// Longest text that is looked at.
const MAX_TEXT: usize = 128;

/// A new secret: its text, and what is kept of it.
pub(super) fn draw(prefix: &str) -> (String, Digest) {
    let random: [u8; 32] = rand::random();
    let text = format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash = digest(&text);
    (text, hash)
}

/// What is kept of a secret.
pub(super) fn digest(text: &str) -> Digest {
    // A text that is too long is none of ours, whatever its hash.
    let end = text.floor_char_boundary(MAX_TEXT);
    Sha256::digest(&text.as_bytes()[..end]).into()
}
