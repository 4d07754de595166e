//! Hashing of passwords, off the threads that answer, and a few at a time: each takes 19 MiB and some 30 ms on purpose.

use std::sync::{Arc, OnceLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::AccessError;
use crate::tasks::{CutOff, blocking};

/// Hashed at once.
const WORKING: usize = 2;

/// Hashed and waiting; more are refused at once, so that a flood of logins can't pile up.
const WAITING: usize = 16;

/// The way to argon2id, with its crate's parameters (19 MiB, two rounds), which are OWASP's.
#[derive(Debug)]
pub(super) struct Passwords {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            working: Arc::new(Semaphore::new(WORKING)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }
}

impl Passwords {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccessError> {
        let place = self.waiting.clone().try_acquire_owned();
        let place = place.map_err(|_full| AccessError::Busy)?;
        let turn = self.working.clone().acquire_owned().await;
        let turn = turn.map_err(|_closed| AccessError::Busy)?;
        // The work goes on where its caller gives up, and holds its place until then.
        let done = blocking(move || {
            let _held = (place, turn);
            Ok::<_, CutOff>(work())
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            AccessError::Busy
        })
    }

    /// What is kept of a password (PHC).
    pub(super) async fn hash(&self, password: &str) -> Result<String, AccessError> {
        let password = password.to_owned();
        let hashed = self.run(move || hash(&password)).await?;
        hashed.ok_or(AccessError::Busy)
    }

    /// Whether a password is the one that was kept. Without one it takes as long, and is false.
    pub(super) async fn verify(
        &self,
        password: &str,
        kept: Option<&str>,
    ) -> Result<bool, AccessError> {
        let (password, kept) = (password.to_owned(), kept.map(str::to_owned));
        self.run(move || {
            let known = kept.is_some();
            let kept = kept.as_deref().unwrap_or_else(|| nobodys());
            let parsed = PasswordHash::new(kept);
            // Compares in constant time.
            let fits = parsed.is_ok_and(|kept| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &kept)
                    .is_ok()
            });
            known && fits
        })
        .await
    }
}

fn hash(password: &str) -> Option<String> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).ok()
}

/// The hash of a password that nobody has: an unknown name takes as long as a known one.
fn nobodys() -> &'static str {
    static NOBODYS: OnceLock<String> = OnceLock::new();
    NOBODYS.get_or_init(|| hash(&super::secret::draw("").0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_a_flood_is_refused() {
        let passwords = Passwords::default();
        let kept = passwords.hash("Xunke-2026-yes").await.unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert_ne!(kept, passwords.hash("Xunke-2026-yes").await.unwrap());
        let verify = |password: &'static str, kept| passwords.verify(password, kept);
        assert!(verify("Xunke-2026-yes", Some(&kept)).await.unwrap());
        assert!(!verify("Xunke-2026-no", Some(&kept)).await.unwrap());
        assert!(!verify("", None).await.unwrap());
        assert!(!verify("x", Some("no hash")).await.unwrap());
        let many = (0..40).map(|_| verify("Xunke-2026-yes", Some(&kept)));
        let all = futures::future::join_all(many).await;
        let busy = all.iter().filter(|one| one.is_err()).count();
        assert_eq!(busy, 40 - WAITING);
        assert!(verify("Xunke-2026-yes", Some(&kept)).await.unwrap());
    }
}
