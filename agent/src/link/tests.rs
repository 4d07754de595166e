//! When a refused key is another's.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_key_is_given_up_after_three_refusals_over_ten_minutes() {
    let mut denied = Denied::default();
    assert!(!denied.once_more() && !denied.once_more() && !denied.once_more());
    sleep(LOST_KEY.1).await;
    assert!(denied.once_more());
    // And then not at once again.
    assert!(!denied.once_more());
    sleep(LOST_KEY.1).await;
    assert!(!denied.once_more(), "two refusals are too few");
    assert!(denied.once_more());
}

#[test]
fn handshakes_that_break_off_are_an_impostor_only_in_a_row() {
    let cut = || Hitch::Cut("cut".to_owned());
    assert!(matches!(link(cut(), CUTS - 1), Link::Down(_)));
    assert!(matches!(link(cut(), CUTS), Link::Impostor(_)));
    assert!(matches!(link(Hitch::Away(String::new()), 0), Link::Down(_)));
    assert!(matches!(
        link(Hitch::Login(String::new()), 0),
        Link::Denied(_)
    ));
}

#[test]
fn neither_key_nor_code_is_shown_to_a_log() {
    let login = Login {
        terminal: "t-1".to_owned(),
        key: "secret".to_owned(),
        previous: "secret".to_owned(),
    };
    let application = Application {
        code: "secret".to_owned(),
        room: String::new(),
        hardware: Hardware::default(),
        facts: classpulse_proto::v1::AgentFacts::default(),
    };
    assert!(!format!("{login:?}{application:?}").contains("secret"));
}
