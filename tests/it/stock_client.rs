//! A gRPC client in another language (Python's grpcio), through reflection alone, sees the minutes that were reported.

use std::{path::Path, process::Stdio};

use crate::support::{Link, PRIMARY, Service, register, report, used};

/// 2026-09-01T08:00:00+08:00.
const LESSON: i64 = 1_788_220_800;

#[tokio::test(flavor = "multi_thread")]
async fn grpcio_reads_a_day_through_reflection() {
    let service = Service::start().await;
    register(&service.app.store, &[("g-1".to_owned(), PRIMARY)]).await;
    let mut link = Link::connect(service.broker(), "g-1").await;
    link.send_all(
        "g-1",
        &[report(1, vec![used(1, LESSON + 60, LESSON + 600)])],
    )
    .await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/stock-client/bin/python");
    assert!(
        python.exists(),
        "run ./deploy/test once: it makes {}",
        python.display()
    );
    let output = tokio::process::Command::new(python)
        .arg(root.join("tests/it/stock_client.py"))
        .args([&service.app.api.to_string(), "g-1", "2026-09-01"])
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let services = answer["services"].as_array().unwrap();
    for name in [
        "classpulse.v1.Usage",
        "classpulse.v1.Scoring",
        "classpulse.v1.Registry",
        "classpulse.v1.Ingest",
    ] {
        assert!(
            services.iter().any(|service| service == name),
            "{name} in {services:?}"
        );
    }
    let day = &answer["day"];
    assert_eq!(
        day["used"],
        serde_json::json!([{ "start": 481, "end": 490 }]),
        "{day}"
    );
    assert_eq!(day["countedMinutes"], 9);
    assert_eq!(day["schoolCode"], PRIMARY);
    service.stop().await;
}
