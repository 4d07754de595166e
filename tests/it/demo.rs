//! The demo's own comparison with the truth, on a small county: journals of a term arrive whole over real MQTT.

use classpulse::{
    config::Config,
    demo::{self, DemoArgs},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_small_county_is_counted_as_it_happened() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[api]\nlisten = \"127.0.0.1:0\"\n[broker]\nlisten = \"127.0.0.1:0\"\n";
    let config = Config::parse(text, |_| None).unwrap();
    let arguments = DemoArgs {
        data: Some(folder.path().to_owned()),
        seed: 7,
        once: true,
        schools: 4,
        terminals: 5,
        weeks: 5,
    };
    // Fails with the differences where a single minute of any terminal-day, or a school's points, is off.
    demo::run(&arguments, config).await.unwrap();
}
