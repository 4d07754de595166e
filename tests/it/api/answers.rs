//! What the services answer: figures, pages, changes.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that is wrong must stop the test"
)]

use super::*;

#[tokio::test]
async fn usage_is_answered() {
    let front = Front::new().await;
    let mut usage = front.usage().send_compressed(Gzip).accept_compressed(Gzip);
    let schools = usage
        .list_school_usage(v1::ListSchoolUsageRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (schools.period, schools.total_schools),
        (Some(days("2026-09-01", "2026-09-10")), 3)
    );
    let best = &schools.schools[0];
    assert_eq!(
        (
            best.school_code.as_str(),
            best.stage.as_str(),
            best.average_display.as_str()
        ),
        (JUNIOR, "初中", "12.50")
    );
    assert_eq!(
        best.average,
        Some(v1::Fraction {
            numerator: 25,
            denominator: 2
        })
    );
    assert_eq!(
        (
            best.counted_minutes,
            best.service_days,
            best.lessons_taught,
            best.lessons_due
        ),
        (100, 8, 2, 16)
    );
    let request = v1::ListTerminalUsageRequest {
        school_code: PRIMARY.to_owned(),
        ..Default::default()
    };
    let terminals = usage
        .list_terminal_usage(request)
        .await
        .unwrap()
        .into_inner()
        .terminals;
    let told: Vec<_> = terminals
        .iter()
        .map(|one| (one.terminal.as_str(), one.days_reported))
        .collect();
    assert_eq!(told, [("T-2", 0), ("T-1", 1)]);
    let request = v1::GetTerminalDayRequest {
        terminal: "T-1".to_owned(),
        date: "2026-09-01".to_owned(),
    };
    let day = usage.get_terminal_day(request).await.unwrap().into_inner();
    assert_eq!(
        (day.used, day.counted_minutes),
        (
            vec![v1::MinuteRun {
                start: 480,
                end: 540
            }],
            60
        )
    );
    assert_eq!(
        (day.teaching[0].end, day.school_code.as_str()),
        (690, PRIMARY)
    );
    let today = v1::GetTerminalDayRequest {
        terminal: "T-1".to_owned(),
        date: String::new(),
    };
    assert_eq!(
        usage
            .get_terminal_day(today)
            .await
            .unwrap()
            .into_inner()
            .date,
        "2026-09-11"
    );
}

#[tokio::test]
async fn scores_are_answered() {
    let front = Front::new().await;
    let mut scoring = ScoringClient::new(front.channel.clone());
    let scores = scoring
        .get_monitoring_scores(v1::GetMonitoringScoresRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (scores.county.as_str(), scores.highest_schools),
        (COUNTY, vec![JUNIOR.to_owned()])
    );
    let told: Vec<_> = scores
        .schools
        .iter()
        .map(|one| (one.points_hundredths, one.points_display.as_str()))
        .collect();
    assert_eq!(told, [(1_500, "15.00"), (450, "4.50"), (0, "0.00")]);
    assert_eq!(scores.schools[1].stage_points_hundredths, 1_500);
    assert!(scores.schools[1].reason.contains("全县最高 12.50"));
}

#[tokio::test]
async fn the_registry_and_ingest_are_answered() {
    let front = Front::new().await;
    let mut registry = front.registry();
    let counties = registry
        .list_counties(v1::ListCountiesRequest {})
        .await
        .unwrap()
        .into_inner()
        .counties;
    assert_eq!((counties.len(), counties[0].name.as_str()), (1, "逊克县"));
    let schools = registry
        .list_schools(v1::ListSchoolsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .schools;
    assert_eq!(
        schools
            .iter()
            .map(|school| school.code.as_str())
            .collect::<Vec<_>>(),
        [PRIMARY, JUNIOR, SILENT]
    );
    let request = v1::ListTerminalsRequest {
        pending_only: true,
        ..Default::default()
    };
    let pending = registry.list_terminals(request).await.unwrap().into_inner();
    assert_eq!(
        (pending.terminals.len(), pending.terminals[0].id.as_str()),
        (1, "T-5")
    );
    assert!(pending.terminals[0].pending && pending.next_page_token.is_empty());
    let approval = v1::Approval {
        terminal: "T-5".to_owned(),
        school_code: SILENT.to_owned(),
        ..Default::default()
    };
    let request = v1::ApproveTerminalsRequest {
        approvals: vec![approval.clone()],
    };
    assert_eq!(
        registry
            .approve_terminals(request)
            .await
            .unwrap()
            .into_inner()
            .approved,
        1
    );
    let content = "县代码,县名称\n231123,逊克县\n".as_bytes().to_vec();
    let request = v1::ImportRequest {
        content,
        dry_run: true,
        file_name: "县.csv".to_owned(),
        ..Default::default()
    };
    assert!(!registry.import(request).await.unwrap().into_inner().applied);

    let mut ingest = IngestClient::new(front.channel.clone());
    let report = |sequence| v1::Report {
        sequence,
        boot_id: vec![7; 16],
        ..v1::Report::default()
    };
    let ack = ingest.report(report(1)).await.unwrap().into_inner();
    assert_eq!((ack.boot_id, ack.sequences), (vec![7; 16], vec![1]));
    for (sequence, code) in [
        (0, Code::InvalidArgument),
        (2, Code::ResourceExhausted),
        (3, Code::Unavailable),
    ] {
        assert_eq!(
            ingest.report(report(sequence)).await.unwrap_err().code(),
            code
        );
    }
    assert_eq!(
        wrong_field(&ingest.report(report(0)).await.unwrap_err()),
        "sequence"
    );
}

#[tokio::test]
async fn pages_follow_each_other_and_tokens_belong_to_their_question() {
    let front = Front::new().await;
    let mut usage = front.usage();
    let (mut codes, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = v1::ListSchoolUsageRequest {
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let page = usage.list_school_usage(request).await.unwrap().into_inner();
        codes.extend(page.schools.into_iter().map(|school| school.school_code));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
        let other = v1::ListSchoolUsageRequest {
            page_token: token.clone(),
            stage: "小学".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            wrong_field(&usage.list_school_usage(other).await.unwrap_err()),
            "page_token"
        );
    }
    assert_eq!(
        (codes, pages),
        (
            vec![JUNIOR.to_owned(), PRIMARY.to_owned(), SILENT.to_owned()],
            2
        )
    );

    let request = v1::ListTerminalUsageRequest {
        school_code: PRIMARY.to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let page = usage
        .list_terminal_usage(request.clone())
        .await
        .unwrap()
        .into_inner();
    let request = v1::ListTerminalUsageRequest {
        page_token: page.next_page_token,
        ..request
    };
    let next = usage
        .list_terminal_usage(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            page.terminals[0].terminal.as_str(),
            next.terminals[0].terminal.as_str()
        ),
        ("T-2", "T-1")
    );
    assert!(next.next_page_token.is_empty());

    let mut registry = front.registry();
    let request = v1::ListTerminalsRequest {
        page_size: 4,
        ..Default::default()
    };
    let page = registry
        .list_terminals(request.clone())
        .await
        .unwrap()
        .into_inner();
    let request = v1::ListTerminalsRequest {
        page_token: page.next_page_token,
        ..request
    };
    let next = registry
        .list_terminals(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            page.terminals.len(),
            next.terminals.len(),
            next.next_page_token.as_str()
        ),
        (4, 1, "")
    );
    let other = v1::ListTerminalsRequest {
        pending_only: true,
        ..request
    };
    assert_eq!(
        wrong_field(&registry.list_terminals(other).await.unwrap_err()),
        "page_token"
    );
}

#[tokio::test]
async fn watchers_hear_of_changes_and_of_missed_ones() {
    let front = Front::start(Limits::default(), broadcast::Sender::new(2)).await;
    let mut usage = front.usage();
    let request = v1::WatchSchoolDaysRequest {
        county: COUNTY.to_owned(),
    };
    let mut watch = usage.watch_school_days(request).await.unwrap().into_inner();
    front.store.state().change(PRIMARY, 41);
    usage
        .list_school_usage(v1::ListSchoolUsageRequest::default())
        .await
        .unwrap();
    let change = watch.message().await.unwrap().unwrap();
    assert_eq!(
        (
            change.school_code.as_str(),
            change.counted_minutes,
            change.reporting_terminals
        ),
        (PRIMARY, 41, 1)
    );

    let one = front.store.state().change(JUNIOR, 0);
    // On one thread the stream can't run in between: the channel of two overflows.
    for counted in 0..5 {
        let mut change = one.clone();
        change.minutes.counted = counted;
        front.changes.send(change).unwrap();
    }
    let resync = watch.message().await.unwrap().unwrap();
    assert!(resync.resync && resync.school_code.is_empty());
    for counted in [3, 4] {
        assert_eq!(
            watch.message().await.unwrap().unwrap().counted_minutes,
            counted
        );
    }
    front.drain.cancel();
    assert!(
        watch.message().await.unwrap().is_none(),
        "the stream ends when the service drains"
    );
}

#[tokio::test]
async fn codes_are_made_listed_and_taken_back_and_incidents_told() {
    let front = Front::new().await;
    let mut registry = front.registry();
    let made = registry
        .create_enrolment_code(v1::CreateEnrolmentCodeRequest {
            school_code: PRIMARY.to_owned(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let listed = made.listed.unwrap();
    assert_eq!(made.code.len(), 14);
    // 2026-09-11 at 08:00 in Shanghai, and thirty days later.
    let expected = v1::EnrolmentCode {
        id: 1,
        school_code: PRIMARY.to_owned(),
        uses: 50,
        used: 0,
        created_at: 1_789_084_800,
        expires_at: 1_789_084_800 + 30 * 86_400,
        revoked: false,
    };
    assert_eq!(listed, expected);
    let other = v1::CreateEnrolmentCodeRequest {
        school_code: JUNIOR.to_owned(),
        uses: 1_000,
        days: 365,
    };
    let other = registry
        .create_enrolment_code(other)
        .await
        .unwrap()
        .into_inner();
    assert_ne!(other.code, made.code);
    registry
        .revoke_enrolment_code(v1::RevokeEnrolmentCodeRequest { id: 1 })
        .await
        .unwrap();
    let list = |school: &str| v1::ListEnrolmentCodesRequest {
        school_code: school.to_owned(),
    };
    let all = registry
        .list_enrolment_codes(list(""))
        .await
        .unwrap()
        .into_inner()
        .codes;
    let told: Vec<_> = all
        .iter()
        .map(|code| (code.id, code.revoked, code.uses))
        .collect();
    assert_eq!(told, [(2, false, 1_000), (1, true, 50)]);
    let some = registry
        .list_enrolment_codes(list(PRIMARY))
        .await
        .unwrap()
        .into_inner()
        .codes;
    assert_eq!(some, all[1..]);

    let incident = Incident {
        seconds: 720,
        ..Incident::found("T-1".parse().unwrap(), Kind::AgentGap, 1, 1_789_084_800)
    };
    let two = Incident::two_machines("T-2".parse().unwrap(), 1_789_000_000);
    front.store.state().incidents = vec![incident, two];
    let ask = |terminal: &str, since, limit| v1::ListIncidentsRequest {
        terminal: terminal.to_owned(),
        since,
        limit,
    };
    let all = registry
        .list_incidents(ask("", 0, 0))
        .await
        .unwrap()
        .into_inner()
        .incidents;
    let expected = v1::Incident {
        terminal: "T-1".to_owned(),
        kind: "agent_gap".to_owned(),
        at: 1_789_084_800,
        seconds: 720,
        received_at: 1_789_084_800,
        sentence: "终端程序被中断 12 分钟(2026-09-11 08:00–08:12),其间机器开着".to_owned(),
    };
    assert_eq!((all.len(), &all[0]), (2, &expected));
    for (request, expected) in [
        (ask("T-2", 0, 0), &all[1..]),
        (ask("", 1_789_000_001, 0), &all[..1]),
        (ask("", 0, 1), &all[..1]),
    ] {
        let found = registry.list_incidents(request).await.unwrap().into_inner();
        assert_eq!(found.incidents, expected);
    }
}

#[tokio::test]
async fn keys_are_listed_and_changed() {
    let front = Front::new().await;
    let key = |terminal: &str| classpulse::store::Key {
        terminal: terminal.parse().unwrap(),
        hash: [7; 32],
        salted: None,
        next: None,
        renew: false,
        revoked: false,
        enrolled_at: 1_789_000_000,
        changed_at: 1_789_000_000,
    };
    front.store.state().keys = vec![key("T-2"), key("T-1")];
    let mut registry = front.registry();
    let change = |terminals: &[&str], change: v1::KeyChange| v1::ChangeTerminalKeysRequest {
        terminals: terminals.iter().map(|&id| id.to_owned()).collect(),
        change: change.into(),
    };
    for (request, expected) in [
        (change(&["T-1"], v1::KeyChange::Revoke), 1),
        (change(&["T-1", "T-2"], v1::KeyChange::Renew), 2),
        (change(&["T-2"], v1::KeyChange::Restore), 1),
    ] {
        let done = registry.change_terminal_keys(request).await.unwrap();
        assert_eq!(done.into_inner().changed, expected);
    }
    let all = registry
        .list_terminal_keys(v1::ListTerminalKeysRequest::default())
        .await
        .unwrap()
        .into_inner()
        .keys;
    let told: Vec<_> = all
        .iter()
        .map(|key| (key.terminal.as_str(), key.revoked, key.renewing))
        .collect();
    assert_eq!(told, [("T-1", true, true), ("T-2", false, true)]);
}
