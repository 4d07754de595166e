//! The certificate of our own listeners, which may be renewed while they serve: its files are read again now and then, and
//! connections that come later see what was read last. What can't be used changes nothing.
//!
//! Not responsible for making certificates (`cli`).

use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{ServerTls, TlsError};
use crate::tasks;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_mins(1);

/// The certificate and key of our own listeners.
pub struct Certificate {
    files: ServerTls,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// What the files held when they were last read, whether it could be used or not: it is told once.
    seen: Mutex<Texts>,
}

/// What the two files hold; `None` for one that can't be read.
#[derive(Default, PartialEq, Eq)]
struct Texts {
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the files, so it blocks for a moment.
    ///
    /// # Errors
    /// [`TlsError`]: files that can't be read, a key that is another certificate's.
    pub fn read(files: &ServerTls) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let (texts, read) = look(files, &provider);
        Ok(Arc::new(Self {
            files: files.clone(),
            provider,
            current: RwLock::new(Arc::new(read?)),
            seen: Mutex::new(texts),
        }))
    }

    /// What a listener needs to speak TLS 1.2 or 1.3; `protocols` are named to clients (ALPN), the best first.
    ///
    /// # Errors
    /// `Refused`, by a library that has neither version.
    pub fn server(self: &Arc<Self>, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Refused)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    /// Reads the files again, where they hold something else than last time: true if it is used from now on. Blocks for a
    /// moment.
    ///
    /// # Errors
    /// As of [`Certificate::read`]; what was used before still is.
    pub fn renew(&self) -> Result<bool, TlsError> {
        let (texts, read) = look(&self.files, &self.provider);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == texts {
            return Ok(false);
        }
        *seen = texts;
        let new = Arc::new(read?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }

    /// The same off the threads that answer, told to the log.
    pub async fn renew_and_tell(self: &Arc<Self>) {
        let certificate = self.clone();
        let file = self.files.certificate_file.display();
        match tasks::blocking(move || certificate.renew()).await {
            Ok(true) => info!(%file, "the renewed certificate is used from now on"),
            Ok(false) => {}
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                warn!(%file, error, "the renewed certificate can't be used; the one before still is");
            }
        }
    }

    /// Looks each minute whether it was renewed.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            self.renew_and_tell().await;
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}

/// What the files hold, and what it comes to.
fn look(files: &ServerTls, provider: &CryptoProvider) -> (Texts, Result<CertifiedKey, TlsError>) {
    let read = |file: &Path, what| {
        fs::read(file).map_err(|error| TlsError::File {
            file: file.to_owned(),
            what,
            source: pem::Error::Io(error),
        })
    };
    let certificate = read(&files.certificate_file, "certificate");
    let key = read(&files.key_file, "private key");
    let texts = Texts {
        certificate: certificate.as_ref().ok().cloned(),
        key: key.as_ref().ok().cloned(),
    };
    let pair = || {
        let chain = chain(&files.certificate_file, &certificate?)?;
        let key = PrivateKeyDer::from_pem_slice(&key?).map_err(|source| TlsError::File {
            file: files.key_file.clone(),
            what: "private key",
            source,
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Refused)
    };
    (texts, pair())
}

fn chain(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    super::some(file, CertificateDer::pem_slice_iter(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, as PEM.
    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = ServerTls {
            certificate_file: folder.path().join("server.pem"),
            key_file: folder.path().join("server.key"),
        };
        let put = |certificate: &str, key: &str| {
            fs::write(&files.certificate_file, certificate).unwrap();
            fs::write(&files.key_file, key).unwrap();
        };
        let ((first, first_key), (second, second_key)) = (made(), made());
        put(&first, &second_key);
        let mixed = Certificate::read(&files).unwrap_err();
        assert!(matches!(mixed, TlsError::Refused(_)), "{mixed}");
        put(&first, &first_key);
        let certificate = Certificate::read(&files).unwrap();
        let used = || certificate.current.read().unwrap().cert[0].clone();
        let before = used();
        assert!(!certificate.renew().unwrap(), "nothing is new");
        // In the middle of being put there, cut off, something else, gone: each is told once.
        for (broken, key, said) in [
            (second.as_str(), first_key.as_str(), "refuses"),
            (
                &second[..second.len() / 2],
                second_key.as_str(),
                "server.pem",
            ),
            ("", second_key.as_str(), "server.pem"),
            (second.as_str(), "nothing", "server.key"),
        ] {
            put(broken, key);
            let error = certificate.renew().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!certificate.renew().unwrap(), "told once");
            assert_eq!(used(), before);
        }
        fs::remove_file(&files.key_file).unwrap();
        assert!(certificate.renew().is_err());
        assert!(!certificate.renew().unwrap());
        assert_eq!(used(), before);
        put(&second, &second_key);
        assert!(certificate.renew().unwrap());
        assert_ne!(used(), before);
        // And back, for whoever thinks better of it.
        put(&first, &first_key);
        assert!(certificate.renew().unwrap());
        assert_eq!(used(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_each_minute() {
        let folder = tempfile::tempdir().unwrap();
        let files = ServerTls {
            certificate_file: folder.path().join("server.pem"),
            key_file: folder.path().join("server.key"),
        };
        let put = |(certificate, key): (String, String)| {
            fs::write(&files.certificate_file, certificate).unwrap();
            fs::write(&files.key_file, key).unwrap();
        };
        put(made());
        let certificate = Certificate::read(&files).unwrap();
        let used = || certificate.current.read().unwrap().cert[0].clone();
        let (before, stop) = (used(), CancellationToken::new());
        let following = tasks::start("certificate", certificate.clone().follow(stop.clone()));
        put(made());
        tokio::time::sleep(EVERY * 2).await;
        // The files are read on another thread, which knows nothing of this test's time.
        for _ in 0..1_000 {
            if used() != before {
                break;
            }
            tokio::time::sleep(EVERY).await;
        }
        assert_ne!(used(), before);
        stop.cancel();
        assert!(following.finish(EVERY * 2).await);
    }
}
