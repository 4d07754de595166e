//! TLS towards the county's server: its own authority is trusted, and nobody else.
//!
//! A pupil's neighbour can redirect a name; without this authority's certificate nobody gets a report. Not responsible
//! for connecting (`access`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// Certificates in a chain may each have their own time; more are none of ours.
const TIMES: usize = 6;
/// One server, now and then another address of it.
const SESSIONS: usize = 4;

/// What is known of the time when a certificate's dates are judged.
#[derive(Debug, Clone, Copy)]
pub struct Dates {
    /// Whether the system's clock can be trusted.
    pub vouched: fn() -> bool,
    /// It is later than this, Unix seconds, whatever the system's clock says.
    pub since: u64,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read, or is not PEM.
    #[error("{}: holds no certificate in PEM form", .0.display())]
    File(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// A file without a certificate.
    #[error("{}: holds no certificate in PEM form", .0.display())]
    Empty(PathBuf),
    /// A certificate that no authority can have.
    #[error("{}: this certificate can be no authority's", .0.display())]
    Refused(PathBuf, #[source] Error),
    /// The verifier could not be built.
    #[error("TLS can't be set up")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// The crypto provider speaks no version.
    #[error("TLS can't be set up")]
    Versions(#[source] Error),
}

/// What a client needs to speak TLS with who holds a certificate of this authority (a PEM file, which is read now).
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client(authority: &Path, dates: Dates) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = pinned(authority, dates, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

fn pinned(
    authority: &Path,
    dates: Dates,
    provider: &Arc<CryptoProvider>,
) -> Result<Pinned, TlsError> {
    let file = || authority.to_owned();
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(authority)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::File(file(), error))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(file()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Refused(file(), error))?;
    }
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(TlsError::Verifier)?;
    Ok(Pinned { strict, dates })
}

/// The usual checks, chain and name. Only the dates are not judged by a clock that nobody vouches for: a terminal with a
/// dead battery wakes in 1970, and it is this server that tells it the time. What ended before the last known time has
/// ended, though: an old certificate, whose key may be known by now, is nobody's.
#[derive(Debug)]
struct Pinned {
    strict: Arc<WebPkiServerVerifier>,
    dates: Dates,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let at = |time| {
            self.strict.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                time,
            )
        };
        if (self.dates.vouched)() {
            return at(now);
        }
        let since = UnixTime::since_unix_epoch(Duration::from_secs(self.dates.since));
        let mut verdict = at(now.max(since));
        // Some moment at which all of them hold; where there is none, what was wrong last.
        for _ in 0..TIMES {
            let Err(Error::InvalidCertificate(wrong)) = &verdict else {
                break;
            };
            let Some(better) = holds_at(wrong).filter(|better| *better >= since) else {
                break;
            };
            verdict = at(better);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

/// A moment at which this certificate would not have been too old or too young.
fn holds_at(wrong: &CertificateError) -> Option<UnixTime> {
    match wrong {
        CertificateError::NotValidYetContext { not_before, .. } => Some(*not_before),
        CertificateError::ExpiredContext { not_after, .. } => {
            let before = not_after.as_secs().saturating_sub(1);
            Some(UnixTime::since_unix_epoch(Duration::from_secs(before)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
