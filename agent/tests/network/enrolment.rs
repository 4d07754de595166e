//! A machine becomes a terminal.

use classpulse_agent::{
    clock::{Clock as _, SystemClock},
    enrol::{EnrolError, enrol},
    identity::IdentityFile,
};
use classpulse_proto::v1::{
    EnrolRefusal, EnrolRequest, EnrolResponse, Enrolled, enrol_response::Result as Outcome,
};
use tokio::time::{Duration, sleep};

use crate::{
    mosquitto::{Mosquitto, OPEN, access, free_port},
    service::{Came, Service},
    terminal::{Terminal, application, enrolment},
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "one of the answers that a played service can give; silence is another"
)]
fn welcome(_: &EnrolRequest) -> Option<EnrolResponse> {
    let enrolled = Enrolled {
        terminal: "pc-0001".to_owned(),
        key: "k".repeat(43),
        known: false,
        school: "第一小学".to_owned(),
    };
    Some(EnrolResponse {
        result: Some(Outcome::Enrolled(enrolled)),
        server_time_ms: 1_790_000_000_500,
    })
}

fn refuse(refusal: EnrolRefusal) -> impl Fn(&EnrolRequest) -> Option<EnrolResponse> {
    move |_| {
        Some(EnrolResponse {
            result: Some(Outcome::Refusal(refusal.into())),
            server_time_ms: 1,
        })
    }
}

#[tokio::test]
async fn a_machine_shows_its_code_and_is_answered() {
    let broker = Mosquitto::start(free_port(), OPEN);
    let access = broker.access();
    {
        let mut service = Service::start(&access, welcome).await;
        let answer = enrol(&access, &application(), 5).await.ok().unwrap();
        assert_eq!(answer.enrolled.terminal, "pc-0001");
        assert_eq!(answer.server_time_ms, 1_790_000_000_500);
        let Some(Came::Asked(request)) = service.came.recv().await else {
            panic!("no request came");
        };
        let shown = application();
        assert_eq!((request.code, request.room), (shown.code, shown.room));
        assert_eq!(request.hardware, Some(shown.hardware));
        assert_eq!(request.facts, Some(shown.facts));
    }
    for (refusal, error) in [
        (EnrolRefusal::Code, EnrolError::Code),
        (EnrolRefusal::Malformed, EnrolError::Malformed),
        (EnrolRefusal::Busy, EnrolError::Busy),
    ] {
        let _service = Service::start(&access, refuse(refusal)).await;
        let answer = enrol(&access, &application(), 6).await;
        assert_eq!(answer.err(), Some(error));
    }
    // An answer that names no terminal is none.
    let nobody = |_: &EnrolRequest| Some(EnrolResponse::default());
    let _service = Service::start(&access, nobody).await;
    let answer = enrol(&access, &application(), 7).await;
    assert_eq!(answer.err(), Some(EnrolError::Garbled));
}

#[tokio::test]
async fn what_was_sensed_before_enrolling_is_reported_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    let port = free_port();
    let began = SystemClock.now().wall_ms / 1_000;
    let terminal = Terminal::start(
        access(port, classpulse_agent::access::Trust::Plain),
        None,
        Some(enrolment(&file)),
    );
    let shown = terminal.reaches("down").await;
    assert!(shown["terminal"].is_null() && shown["last_error"]["what"].is_string());
    // Sessions are told in whole seconds, and looks are a second apart.
    sleep(Duration::from_secs(4)).await;

    let broker = Mosquitto::start(port, OPEN);
    let mut service = Service::start(&broker.access(), welcome).await;
    let (name, report) = service.report().await;
    assert_eq!(name, "pc-0001");
    let session = &report.sessions[0];
    assert!(
        session.start <= began + 1 && session.end >= began + 2,
        "{session:?}"
    );
    let shown = terminal.reaches("up").await;
    assert_eq!(
        (&shown["terminal"], &shown["school"]),
        (&"pc-0001".into(), &"第一小学".into())
    );
    assert!(
        !shown.to_string().contains("kkkk"),
        "the key is nobody's business"
    );

    let kept = IdentityFile::new(file).look().said.unwrap();
    assert_eq!((kept.terminal.as_str(), kept.key.len()), ("pc-0001", 43));
    assert_eq!(
        (kept.enrolled_at, kept.hardware),
        (1_790_000_000, Some(application().hardware))
    );
    assert!(terminal.stop().await < Duration::from_secs(2));
}

#[tokio::test]
async fn a_refused_code_is_said_and_sensing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(free_port(), OPEN);
    let mut service = Service::start(&broker.access(), refuse(EnrolRefusal::Code)).await;
    let file = folder.path().join("identity");
    let terminal = Terminal::start(broker.access(), None, Some(enrolment(&file)));
    let shown = terminal.reaches("not_enrolled").await;
    let what = shown["last_error"]["what"].as_str().unwrap();
    assert!(what.contains("code"), "{what}");
    assert_eq!(shown["waiting"], 2, "powered and used");
    // It is tried again within the hour, not within seconds.
    sleep(Duration::from_secs(4)).await;
    assert!(matches!(service.came.try_recv(), Ok(Came::Asked(_))));
    assert!(service.came.try_recv().is_err());
    let kept = IdentityFile::new(file).look().said;
    assert!(kept.is_none_or(|identity| !identity.is_enrolled()));
    assert!(terminal.stop().await < Duration::from_secs(2));
}

#[tokio::test]
async fn a_machine_without_a_code_senses_and_says_what_is_missing() {
    let broker = Mosquitto::start(free_port(), OPEN);
    let folder = tempfile::tempdir().unwrap();
    let mut enrolment = enrolment(&folder.path().join("identity"));
    enrolment.application = None;
    let terminal = Terminal::start(broker.access(), None, Some(enrolment));
    let shown = terminal.reaches("not_enrolled").await;
    assert_eq!(shown["last_error"]["what"], "there is no enrolment code");
    assert_eq!(shown["waiting"], 2);
}
