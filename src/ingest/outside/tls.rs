//! TLS to a broker: whom to trust, and as whom to appear. Files in PEM; nothing of them is logged.
//!
//! Not responsible for the connection itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rumqttc::{TlsConfiguration, Transport};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};
use tracing::debug;

/// What TLS needs from files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Authorities to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate (with its chain) and its private key, where the broker asks for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read, or holds no PEM of the kind wanted.
    #[error("{file} can't be read as PEM")]
    File {
        /// As configured.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// A file without a certificate.
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    /// The system offers no certificates to trust.
    #[error("the system has no root certificates; name broker.ca_file")]
    NoRoots,
    /// Certificate and key are no pair, or of a kind that is not supported.
    #[error("TLS can't be set up")]
    Setup(#[from] rustls::Error),
}

/// Reads the files. Blocks meanwhile.
///
/// # Errors
/// [`TlsError`], with the file's name.
pub fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match &files.ca {
        Some(file) => trusted(file)?,
        None => system()?,
    };
    // Named, for another crate in the program may have chosen another provider for the process.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match &files.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(certificates(chain)?, secret(key)?)?,
    };
    Ok(Arc::new(config))
}

/// The same for rumqttc.
pub(super) fn transport(config: &Arc<ClientConfig>) -> Transport {
    Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(config)))
}

fn trusted(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        debug!(%error, "some of the system's certificates can't be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    debug!(added, ignored, "the system's root certificates");
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::File {
        file: file.to_owned(),
        source,
    };
    let all = CertificateDer::pem_file_iter(file).map_err(wrong)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if all.is_empty() {
        return Err(TlsError::Empty(file.to_owned()));
    }
    Ok(all)
}

fn secret(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|source| TlsError::File {
        file: file.to_owned(),
        source,
    })
}
