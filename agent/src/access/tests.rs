//! What errors of a connection mean.

use std::io::ErrorKind;

use super::*;

#[test]
fn hitches_are_told_apart() {
    let tls = |error: rustls::Error| {
        let error = io::Error::new(ErrorKind::InvalidData, error);
        ConnectionError::Tls(TlsError::Io(error))
    };
    let away = ConnectionError::Io(ErrorKind::ConnectionRefused.into());
    assert!(matches!(Hitch::from(&away), Hitch::Away(_)));
    let cut = ConnectionError::Tls(TlsError::Io(ErrorKind::UnexpectedEof.into()));
    assert!(matches!(Hitch::from(&cut), Hitch::Cut(_)));
    for wrong in [
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer),
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
    ] {
        assert!(matches!(Hitch::from(&tls(wrong)), Hitch::Impostor(_)));
    }
    for (code, login) in [
        (ConnectReturnCode::BadUserNamePassword, true),
        (ConnectReturnCode::NotAuthorized, true),
        (ConnectReturnCode::ServerBusy, false),
    ] {
        let hitch = Hitch::from(&ConnectionError::ConnectionRefused(code));
        assert_eq!(matches!(hitch, Hitch::Login(_)), login, "{hitch:?}");
    }
    let lost = ConnectionError::MqttState(StateError::ConnectionAborted);
    assert!(matches!(Hitch::from(&lost), Hitch::Away(_)));
}

#[test]
fn a_certificates_name_has_no_brackets() {
    let mut access = Access::plain("[::1]".to_owned(), 1883);
    assert_eq!(access.name(), "[::1]");
    access.trust = Trust::Broken(String::new());
    assert_eq!(access.name(), "::1");
}
