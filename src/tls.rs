//! TLS towards other servers (database, outside broker): who is trusted, and as whom we speak; and at our own listeners.
//!
//! Other servers' certificates are always verified, names included; there is no switch to turn that off. Not responsible
//! for making certificates (`cli`) or for listening.

mod certificate;

use std::path::{Path, PathBuf};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};

pub use certificate::Certificate;

/// Whom to trust, and as whom to speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file with the certificates of the authorities to trust; without it, those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM files with our own certificate (chain) and its private key, where the server asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// As whom our own listeners appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// PEM file with the certificate, and after it those between it and its authority.
    pub certificate_file: PathBuf,
    /// PEM file with its private key.
    pub key_file: PathBuf,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read or holds no such thing.
    #[error("{file} holds no {what} in PEM form")]
    File {
        /// As configured.
        file: PathBuf,
        /// Such as "certificate".
        what: &'static str,
        /// What the reader said.
        #[source]
        source: pem::Error,
    },
    /// A file that was read but holds nothing of the kind.
    #[error("{file} holds no certificate in PEM form")]
    Empty {
        /// As configured.
        file: PathBuf,
    },
    /// The system trusts nobody.
    #[error("the system has no trusted certificates: name a CA file")]
    NoRoots,
    /// The files were not read to their end.
    #[error("reading certificate and key was cut off")]
    CutOff(#[from] crate::tasks::CutOff),
    /// rustls refuses certificate or key.
    #[error("TLS refuses the certificate or key")]
    Refused(#[source] rustls::Error),
}

/// What a client needs to speak TLS.
///
/// # Errors
/// [`TlsError`]: files that can't be read, or that rustls refuses. Reads files, so it blocks for a moment.
pub fn client(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &options.ca_file {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(TlsError::Refused)?;
        }
    } else {
        // What the system holds and can't be parsed is left out, as every program does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?
        .with_root_certificates(roots);
    match &options.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            builder
                .with_client_auth_cert(chain, private_key(key)?)
                .map_err(TlsError::Refused)
        }
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|source| TlsError::File {
        file: file.to_owned(),
        what: "private key",
        source,
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    some(
        file,
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect),
    )
}

/// At least one certificate of a file.
fn some(
    file: &Path,
    found: Result<Vec<CertificateDer<'static>>, pem::Error>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = found.map_err(|source| TlsError::File {
        file: file.to_owned(),
        what: "certificate",
        source,
    })?;
    if found.is_empty() {
        return Err(TlsError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_wrong_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (good, key) = (
            file(&folder, "ca.pem", &made.cert.pem()),
            file(&folder, "key.pem", &made.signing_key.serialize_pem()),
        );
        let options = TlsOptions {
            ca_file: Some(good.clone()),
            identity: Some((good.clone(), key.clone())),
        };
        assert!(client(&options).is_ok());
        for (ca, identity) in [
            (file(&folder, "empty.pem", "nothing"), None),
            (folder.path().join("missing.pem"), None),
            (key.clone(), None),
            (good.clone(), Some((good.clone(), good.clone()))),
        ] {
            let wrong = identity.as_ref().map_or(&ca, |(_, key)| key).clone();
            let error = client(&TlsOptions {
                ca_file: Some(ca),
                identity,
            })
            .unwrap_err();
            let name = wrong.file_name().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
