//! The commands for codes and incidents, as an operator types them beside a running service.

use std::{path::Path, process::Command};

use classpulse_proto::{
    topic::{self, Channel},
    v1::{EnrolRefusal, Signal, SignalKind, enrol_response::Result as Said},
};
use prost::Message as _;

use super::{Plain, ask, code, enrolled};
use crate::support::{PRIMARY, Service, register, report};

/// Exit code, and what was said on standard output and standard error.
fn run(store: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_classpulse"))
        .env("CLASSPULSE_STORE", format!("sqlite:{}", store.display()))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    (output.status.code().unwrap(), out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_made_listed_and_taken_back() {
    let service = Service::start().await;
    register(&service.app.store, &[]).await;
    let broker = service.broker();
    let store = service.folder.path().join("test.db");
    let run = |arguments: &[&str]| run(&store, arguments);
    let create = [
        "terminals",
        "codes",
        "create",
        "--school",
        PRIMARY,
        "--uses",
        "2",
        "--days",
        "3",
    ];
    let (status, said, _) = run(&create);
    assert_eq!(status, 0);
    let code = said.lines().next().unwrap().to_owned();
    assert!(
        code.len() == 14 && said.contains("甲小学") && said.contains("2 台"),
        "{said}"
    );
    enrolled(ask(broker, &code, 1).await);

    let (status, said, _) = run(&["terminals", "codes", "list"]);
    assert!(
        status == 0 && said.contains("有效") && said.contains(PRIMARY),
        "{said}"
    );
    assert!(!said.contains(&code), "its text is not kept");
    let (_, said, _) = run(&["--json", "terminals", "codes", "list", "--school", PRIMARY]);
    let listed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&listed[0]["used"], &listed[0]["uses"]),
        (&1.into(), &2.into())
    );
    let id = listed[0]["id"].to_string();

    let (status, _, said) = run(&["terminals", "codes", "create", "--school", "9999999999"]);
    assert!(
        status == 3 && said.contains("9999999999"),
        "{status} {said}"
    );
    let (status, ..) = run(&[
        "terminals",
        "codes",
        "create",
        "--school",
        PRIMARY,
        "--uses",
        "1001",
    ]);
    assert_eq!(status, 2);
    let (status, ..) = run(&["terminals", "codes", "revoke", "77"]);
    assert_eq!(status, 3);
    let (status, said, _) = run(&["terminals", "codes", "revoke", &id]);
    assert!(status == 0 && said.contains("已收回"), "{said}");
    assert_eq!(
        ask(broker, &code, 50).await,
        Said::Refusal(EnrolRefusal::Code.into())
    );
    let (_, said, _) = run(&["terminals", "codes", "list"]);
    assert!(said.contains("已收回"), "{said}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_told_in_sentences() {
    let service = Service::start().await;
    let broker = service.broker();
    let code = code(&service.app.store, 1).await;
    let first = enrolled(ask(broker, &code, 1).await);
    let store = service.folder.path().join("test.db");
    let run = |arguments: &[&str]| run(&store, arguments);
    let mut telling = report(1, vec![]);
    telling.signals.push(Signal {
        kind: SignalKind::AgentGap.into(),
        number: 1,
        at: 1_788_226_260,
        seconds: 720,
    });
    let mut speaking = Plain::new(broker, &first.terminal, &first.terminal, &first.key);
    speaking.connect().await.unwrap();
    let topic = topic::of(&first.terminal, Channel::Report);
    speaking
        .publish(&topic, telling.encode_to_vec())
        .await
        .unwrap();
    let (status, said, _) = run(&["terminals", "incidents"]);
    assert!(
        status == 0 && said.contains("终端程序被中断 12 分钟"),
        "{said}"
    );
    let (_, said, _) = run(&[
        "--json",
        "terminals",
        "incidents",
        "--terminal",
        &first.terminal,
        "--since",
        "2026-01-01",
    ]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&told[0]["kind"], &told[0]["seconds"]),
        (&"agent_gap".into(), &720.into())
    );
    let (_, said, _) = run(&["--json", "terminals", "incidents", "--since", "2099-01-01"]);
    assert_eq!(said.trim(), "[]");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_revoked_restored_and_renewed() {
    let service = Service::start().await;
    let broker = service.broker();
    let code = code(&service.app.store, 5).await;
    let first = enrolled(ask(broker, &code, 1).await);
    let second = enrolled(ask(broker, &code, 50).await);
    let store = service.folder.path().join("test.db");
    let run = |arguments: &[&str]| run(&store, arguments);
    let listed = |more: &[&str]| {
        let (status, said, _) = run(&[&["--json", "terminals", "keys", "list"], more].concat());
        assert_eq!(status, 0);
        assert!(!said.contains(&first.key), "no key is shown");
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let all = listed(&["--school", PRIMARY]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(
        (&all[0]["terminal"], &all[0]["revoked"], &all[0]["renewing"]),
        (
            &first.terminal.as_str().into(),
            &false.into(),
            &false.into()
        )
    );
    let (status, said, _) = run(&["terminals", "keys", "revoke", &first.terminal]);
    assert!(status == 0 && said.contains("1 个有变化"), "{said}");
    let (_, said, _) = run(&["--json", "terminals", "keys", "revoke", &first.terminal]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&told["terminals"], &told["changed"]),
        (&1.into(), &0.into())
    );
    assert_eq!(listed(&[])[0]["revoked"], true);
    let (status, said, _) = run(&["terminals", "keys", "list"]);
    assert!(status == 0 && said.contains("已吊销"), "{said}");
    let (status, ..) = run(&["terminals", "keys", "restore", &first.terminal]);
    assert_eq!((status, &listed(&[])[0]["revoked"]), (0, &false.into()));
    let (status, ..) = run(&["terminals", "keys", "rotate", "--school", PRIMARY]);
    assert_eq!(status, 0);
    assert!(
        listed(&[])
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["renewing"] == true)
    );

    // Mistakes are named, and nothing is half done.
    let (status, _, said) = run(&["terminals", "keys", "revoke", &second.terminal, "nobody"]);
    assert!(status == 3 && said.contains("nobody"), "{status} {said}");
    assert_eq!(listed(&[])[1]["revoked"], false);
    for wrong in [
        &["terminals", "keys", "rotate"][..],
        &["terminals", "keys", "revoke"],
        &["terminals", "keys", "rotate", "x", "--all"],
    ] {
        assert_eq!(run(wrong).0, 2, "{wrong:?}");
    }
    let (status, ..) = run(&["terminals", "keys", "list", "--school", "9999999999"]);
    assert_eq!(status, 3);
    service.stop().await;
}
