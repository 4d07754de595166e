//! Keys as outside brokers compare them: PBKDF2-HMAC-SHA512, as Mosquitto's password files have it.
//!
//! It is made when a key is given, for nobody has the key itself afterwards. A key has 256 random bits, so that few rounds
//! are as good as many. Not responsible for the files (`mosquitto`).

use std::num::NonZeroU32;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::pbkdf2::{PBKDF2_HMAC_SHA512, derive, verify};

use crate::store::Salted;

/// Mosquitto's own default.
const ROUNDS: NonZeroU32 = NonZeroU32::new(101).unwrap();

/// Bytes of salt, before what it makes of the secret.
const SALT: usize = 12;

/// A secret with a salt of its own.
#[must_use]
pub(super) fn salted(secret: &[u8]) -> Salted {
    let mut salted: Salted = [0; _];
    let (salt, hash) = salted.split_at_mut(SALT);
    salt.copy_from_slice(&rand::random::<[u8; SALT]>());
    derive(PBKDF2_HMAC_SHA512, ROUNDS, salt, secret, hash);
    salted
}

/// As it stands after the name in a password file: `$7$rounds$salt$hash`.
#[must_use]
pub fn password_entry(salted: &Salted) -> String {
    let (salt, hash) = salted.split_at(SALT);
    let (salt, hash) = (BASE64_STANDARD.encode(salt), BASE64_STANDARD.encode(hash));
    format!("$7${ROUNDS}${salt}${hash}")
}

/// The same for a secret of anybody's, with a new salt.
#[must_use]
pub fn new_entry(secret: &[u8]) -> String {
    password_entry(&salted(secret))
}

/// Whether an entry of a password file is this secret's, as far as it is one of ours.
#[must_use]
pub fn is_of(entry: &str, secret: &[u8]) -> bool {
    let parts: Vec<_> = entry.split('$').collect();
    let ["", "7", rounds, salt, hash] = parts[..] else {
        return false;
    };
    if rounds != ROUNDS.to_string() {
        return false;
    }
    let read = |text| BASE64_STANDARD.decode(text).ok();
    read(salt).zip(read(hash)).is_some_and(|(salt, hash)| {
        verify(PBKDF2_HMAC_SHA512, ROUNDS, &salt, secret, &hash).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_salt_and_the_entry_has_its_form() {
        let (one, two) = (salted(b"key"), salted(b"key"));
        assert_ne!(one, two);
        let entry = password_entry(&one);
        let parts: Vec<_> = entry.split('$').collect();
        assert_eq!(parts[..3], ["", "7", "101"]);
        assert_eq!(BASE64_STANDARD.decode(parts[3]).unwrap(), one[..SALT]);
        let mut again = [0; 64];
        derive(PBKDF2_HMAC_SHA512, ROUNDS, &one[..SALT], b"key", &mut again);
        assert_eq!(BASE64_STANDARD.decode(parts[4]).unwrap(), again);
        assert!(is_of(&entry, b"key") && !is_of(&entry, b"kex"));
        for other in ["", "$6$x$y", "$7$1$a$b", "$7$101$!$!"] {
            assert!(!is_of(other, b"key"), "{other}");
        }
    }
}
