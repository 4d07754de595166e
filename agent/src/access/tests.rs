//! What errors of a connection mean.

use std::io::ErrorKind;

use super::*;

const VOUCHED: Dates = Dates {
    vouched: || true,
    since: 0,
};

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
    access.trust = Trust::pinned("/no/such/file".as_ref(), VOUCHED);
    assert_eq!(access.name(), "::1");
}

#[test]
fn an_authority_that_can_t_be_read_yet_is_read_again_and_nothing_goes_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let mut access = Access::plain("localhost".to_owned(), 8883);
    access.trust = Trust::pinned(&file, VOUCHED);
    for text in [None, Some("not a certificate")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let Err(Hitch::Away(why)) = access.ready() else {
            panic!("{text:?} is no authority");
        };
        assert!(why.contains("ca.pem"), "{why}");
        assert!(
            access.options("t-1", "key").is_err(),
            "in plain text neither"
        );
    }
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&file, made.cert.pem()).unwrap();
    access.ready().unwrap();
    let options = access.options("t-1", "key").unwrap();
    assert!(matches!(options.transport(), rumqttc::Transport::Tls(_)));
}
