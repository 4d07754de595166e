//! What the services refuse, and how they say it.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that is wrong must stop the test"
)]

use super::*;

#[tokio::test]
async fn wrong_fields_of_usage_are_named() {
    let front = Front::new().await;
    let mut usage = front.usage();
    let base = v1::ListSchoolUsageRequest::default;
    for (request, field) in [
        (
            v1::ListSchoolUsageRequest {
                county: "23112".to_owned(),
                ..base()
            },
            "county",
        ),
        (
            v1::ListSchoolUsageRequest {
                stage: "大学".to_owned(),
                ..base()
            },
            "stage",
        ),
        (
            v1::ListSchoolUsageRequest {
                page_size: 1_001,
                ..base()
            },
            "page_size",
        ),
        (
            v1::ListSchoolUsageRequest {
                page_token: "zz".to_owned(),
                ..base()
            },
            "page_token",
        ),
        (
            v1::ListSchoolUsageRequest {
                period: Some(days("", "")),
                ..base()
            },
            "period.from",
        ),
        (
            v1::ListSchoolUsageRequest {
                period: Some(days("2026-09-01", "2026-9-2")),
                ..base()
            },
            "period.to",
        ),
        (
            v1::ListSchoolUsageRequest {
                period: Some(days("2026-09-02", "2026-09-01")),
                ..base()
            },
            "period.to",
        ),
        (
            v1::ListSchoolUsageRequest {
                period: Some(days("2026-09-12", "2026-09-13")),
                ..base()
            },
            "period.from",
        ),
    ] {
        assert_eq!(
            wrong_field(&usage.list_school_usage(request).await.unwrap_err()),
            field
        );
    }
    let request = v1::ListTerminalUsageRequest::default();
    assert_eq!(
        wrong_field(&usage.list_terminal_usage(request).await.unwrap_err()),
        "school_code"
    );
    let request = v1::GetTerminalDayRequest {
        terminal: "T 1".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        wrong_field(&usage.get_terminal_day(request).await.unwrap_err()),
        "terminal"
    );
    let request = v1::GetTerminalDayRequest {
        terminal: "T-1".to_owned(),
        date: "yesterday".to_owned(),
    };
    assert_eq!(
        wrong_field(&usage.get_terminal_day(request).await.unwrap_err()),
        "date"
    );
}

#[tokio::test]
async fn wrong_fields_of_the_registry_are_named() {
    let front = Front::new().await;
    let mut registry = front.registry();
    let request = v1::ApproveTerminalsRequest::default();
    assert_eq!(
        wrong_field(&registry.approve_terminals(request).await.unwrap_err()),
        "approvals"
    );
    let good = v1::Approval {
        terminal: "T-5".to_owned(),
        school_code: SILENT.to_owned(),
        ..Default::default()
    };
    let bad = v1::Approval {
        in_service_from: "1.9.2026".to_owned(),
        ..good.clone()
    };
    let request = v1::ApproveTerminalsRequest {
        approvals: vec![good, bad],
    };
    let error = registry.approve_terminals(request).await.unwrap_err();
    assert_eq!(wrong_field(&error), "approvals[1].in_service_from");
    let request = v1::ImportRequest {
        format: 9,
        ..Default::default()
    };
    assert_eq!(
        wrong_field(&registry.import(request).await.unwrap_err()),
        "format"
    );
}

#[tokio::test]
async fn what_is_not_registered_is_not_found_and_what_is_missing_is_said() {
    let front = Front::new().await;
    let (mut usage, mut registry) = (front.usage(), front.registry());
    let request = v1::ListSchoolUsageRequest {
        county: "999999".to_owned(),
        ..Default::default()
    };
    let error = usage.list_school_usage(request).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::NotFound, "county 999999 is not registered")
    );
    let request = v1::ListTerminalUsageRequest {
        school_code: "XK-99".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        usage.list_terminal_usage(request).await.unwrap_err().code(),
        Code::NotFound
    );
    let request = v1::GetTerminalDayRequest {
        terminal: "T-99".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        usage.get_terminal_day(request).await.unwrap_err().code(),
        Code::NotFound
    );
    let request = v1::WatchSchoolDaysRequest {
        county: "999999".to_owned(),
    };
    assert_eq!(
        usage.watch_school_days(request).await.unwrap_err().code(),
        Code::NotFound
    );
    for (terminal, code) in [("T-99", Code::NotFound), ("T-1", Code::FailedPrecondition)] {
        let approval = v1::Approval {
            terminal: terminal.to_owned(),
            school_code: SILENT.to_owned(),
            ..Default::default()
        };
        let request = v1::ApproveTerminalsRequest {
            approvals: vec![approval],
        };
        let error = registry.approve_terminals(request).await.unwrap_err();
        assert!(
            error.code() == code && error.message().contains(terminal),
            "{error}"
        );
    }
    front.store.state().calendar = None;
    let error = usage
        .list_school_usage(v1::ListSchoolUsageRequest::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error
            .message()
            .contains("classpulse import --calendar FILE"),
        "{error}"
    );
    front.store.state().broken = true;
    let error = registry
        .list_counties(v1::ListCountiesRequest {})
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(
        !error.message().contains("secret"),
        "inner causes stay inside: {error}"
    );
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_told_so() {
    let limits = Limits {
        timeout: Duration::from_millis(150),
        ..Limits::default()
    };
    let front = Front::start(limits, api::changes()).await;
    let mut watch = front
        .usage()
        .watch_school_days(v1::WatchSchoolDaysRequest::default())
        .await
        .unwrap()
        .into_inner();
    front.store.state().delay = Duration::from_mins(1);
    let error = front
        .registry()
        .list_counties(v1::ListCountiesRequest {})
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    let change = front.store.state().change(PRIMARY, 7);
    front.changes.send(change).unwrap();
    assert_eq!(
        watch.message().await.unwrap().unwrap().counted_minutes,
        7,
        "streams are not cut"
    );

    let front = Front::new().await;
    front.store.state().delay = Duration::from_mins(1);
    let head = "POST /classpulse.v1.Registry/ListCounties HTTP/1.1\r\ncontent-type: application/grpc-web+proto\r\ngrpc-timeout: 100m";
    let answer = front.raw(head, &framed(&v1::ListCountiesRequest {})).await;
    assert!(
        answer.contains("grpc-status: 4") || answer.contains("grpc-status:4"),
        "{answer}"
    );
}

#[tokio::test]
async fn oversized_messages_are_refused() {
    let front = Front::new().await;
    let report = || v1::Report {
        sequence: 1,
        boot_id: vec![0; 300 * 1024],
        ..v1::Report::default()
    };
    let mut plain = IngestClient::new(front.channel.clone());
    assert_eq!(
        plain.report(report()).await.unwrap_err().code(),
        Code::OutOfRange
    );
    let mut packed = IngestClient::new(front.channel.clone()).send_compressed(Gzip);
    let error = packed.report(report()).await.unwrap_err();
    assert!(
        matches!(error.code(), Code::OutOfRange | Code::ResourceExhausted),
        "unpacked it is too large: {error}"
    );

    let mut registry = front.registry();
    let import = |size| v1::ImportRequest {
        content: vec![b'1'; size],
        dry_run: true,
        ..Default::default()
    };
    registry.import(import(8 * 1024 * 1024)).await.unwrap();
    assert_eq!(
        wrong_field(
            &registry
                .import(import(8 * 1024 * 1024 + 1))
                .await
                .unwrap_err()
        ),
        "content"
    );
    assert_eq!(
        registry
            .import(import(10 * 1024 * 1024))
            .await
            .unwrap_err()
            .code(),
        Code::OutOfRange
    );
}

#[tokio::test]
async fn wrong_fields_of_codes_and_incidents_are_named() {
    let front = Front::new().await;
    let mut registry = front.registry();
    let create = |school: &str, uses, days| v1::CreateEnrolmentCodeRequest {
        school_code: school.to_owned(),
        uses,
        days,
    };
    for (request, field) in [
        (create("", 1, 1), "school_code"),
        (create("12", 1, 1), "school_code"),
        (create(PRIMARY, 1_001, 1), "uses"),
        (create(PRIMARY, 1, 366), "days"),
    ] {
        let error = registry.create_enrolment_code(request).await.unwrap_err();
        assert_eq!(wrong_field(&error), field);
    }
    let unknown = registry
        .create_enrolment_code(create("2123000009", 1, 1))
        .await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let list = |school: &str| v1::ListEnrolmentCodesRequest {
        school_code: school.to_owned(),
    };
    let error = registry.list_enrolment_codes(list("12")).await.unwrap_err();
    assert_eq!(wrong_field(&error), "school_code");
    let unknown = registry.list_enrolment_codes(list("2123000009")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let request = v1::RevokeEnrolmentCodeRequest { id: 7 };
    let unknown = registry.revoke_enrolment_code(request).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    for (terminal, limit, field) in [("a b", 0, "terminal"), ("", 1_001, "limit")] {
        let request = v1::ListIncidentsRequest {
            terminal: terminal.to_owned(),
            since: 0,
            limit,
        };
        let error = registry.list_incidents(request).await.unwrap_err();
        assert_eq!(wrong_field(&error), field);
    }
}

#[tokio::test]
async fn wrong_fields_of_keys_are_named() {
    let front = Front::new().await;
    let mut registry = front.registry();
    let change = |terminals: &[&str], change| v1::ChangeTerminalKeysRequest {
        terminals: terminals.iter().map(|&id| id.to_owned()).collect(),
        change,
    };
    let many = vec!["T-1"; 1_001];
    for (request, field) in [
        (change(&[], 1), "terminals"),
        (change(&many, 1), "terminals"),
        (change(&["T-1", "a b"], 1), "terminals[1]"),
        (change(&["T-1"], 0), "change"),
        (change(&["T-1"], 4), "change"),
    ] {
        let error = registry.change_terminal_keys(request).await.unwrap_err();
        assert_eq!(wrong_field(&error), field);
    }
    let unknown = registry.change_terminal_keys(change(&["T-1"], 1)).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let list = |school: &str| v1::ListTerminalKeysRequest {
        school_code: school.to_owned(),
    };
    let error = registry.list_terminal_keys(list("12")).await.unwrap_err();
    assert_eq!(wrong_field(&error), "school_code");
    let unknown = registry.list_terminal_keys(list("2123000009")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}
