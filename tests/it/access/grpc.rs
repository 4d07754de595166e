//! Every gRPC method as everybody, for real; and what part of the country a token sees through each.

use classpulse::api::{METHODS, Method, Sees};
use classpulse_proto::v1::{
    self, evaluation_client::EvaluationClient, registry_client::RegistryClient,
    scoring_client::ScoringClient, usage_client::UsageClient,
};
use tonic::{
    Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_prost::ProstCodec;

use super::people::{FAR, Guarded, Person};
use crate::support::{JUNIOR, PRIMARY};

async fn channel(guarded: &Guarded) -> Channel {
    let address = format!("http://{}", guarded.service.app.api);
    Channel::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// A run of two days, made by the evaluator: a draft, or frozen. Its number.
pub(super) async fn run(guarded: &Guarded, key: &str, frozen: bool) -> i64 {
    let mut evaluation = EvaluationClient::new(channel(guarded).await);
    let evaluator = &guarded.one("evaluator").token;
    let create = v1::CreateRunRequest {
        county: "231123".to_owned(),
        key: key.to_owned(),
        name: "试评".to_owned(),
        by: "wang".to_owned(),
        period: Some(v1::Period {
            from: "2026-09-01".to_owned(),
            to: "2026-09-02".to_owned(),
        }),
        ..Default::default()
    };
    let made = evaluation.create_run(with(evaluator, create)).await;
    let run = made.unwrap().into_inner().run.unwrap().id;
    if frozen {
        let freeze = v1::FreezeRunRequest {
            run,
            by: "wang".to_owned(),
            accept_missing: true,
            ..Default::default()
        };
        let done = evaluation.freeze_run(with(evaluator, freeze)).await;
        done.unwrap();
    }
    run
}

/// Calls a method with an empty message.
async fn call(channel: &Channel, path: &'static str, token: &str) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let path = PathAndQuery::from_static(path);
    client
        .server_streaming(with(token, ()), path, codec)
        .await
        .map(drop)
}

fn allowed(method: &Method, person: &Person) -> bool {
    let Some(needs) = method.needs else {
        return true;
    };
    let sees = match method.sees {
        Sees::Anything | Sees::Ranking | Sees::Own => true,
        Sees::County => !person.is_narrow(),
        Sees::All => person.scope.to_string() == "all",
    };
    person.role.may(needs) && sees
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_as_everybody() {
    let guarded = Guarded::start().await;
    let channel = channel(&guarded).await;
    // Administrators have no tokens.
    let people: Vec<_> = guarded
        .people
        .iter()
        .filter(|one| !one.token.is_empty())
        .collect();
    assert_eq!(people.len(), guarded.people.len() - 1);
    for method in &METHODS {
        for person in &people {
            let code = call(&channel, method.path, &person.token).await;
            let code = code.map_or_else(|status| status.code(), |()| Code::Ok);
            let told = format!("{} as {}: {code:?}", method.path, person.name);
            assert!(
                ![Code::Unauthenticated, Code::Internal, Code::Unimplemented].contains(&code),
                "{told}"
            );
            if !allowed(method, person) {
                assert_eq!(code, Code::PermissionDenied, "{told}");
            } else if !["elsewhere", "township", "school"].contains(&person.name) {
                // Those see little, and an empty question may be about more.
                assert_ne!(code, Code::PermissionDenied, "{told}");
            }
        }
        for token in ["", "cpt_AAAA", "nonsense"] {
            let code = call(&channel, method.path, token).await;
            let code = code.map_or_else(|status| status.code(), |()| Code::Ok);
            let refused = code == Code::Unauthenticated;
            assert_eq!(
                refused,
                method.needs.is_some(),
                "{} with {token:?}: {code:?}",
                method.path
            );
        }
    }
    // A browser's cookie opens nothing here.
    let mut request = Request::new(v1::ListCountiesRequest {});
    let cookie = guarded.one("viewer").cookie.parse().unwrap();
    request.metadata_mut().insert("cookie", cookie);
    let refused = RegistryClient::new(channel.clone())
        .list_counties(request)
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    guarded.stop().await;
}

fn denied<T: std::fmt::Debug>(answer: Result<T, Status>) {
    assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_sees_its_part_of_the_country() {
    let guarded = Guarded::start().await;
    let channel = channel(&guarded).await;
    let mut usage = UsageClient::new(channel.clone());
    let mut registry = RegistryClient::new(channel.clone());
    for (name, seen) in [
        ("viewer", &[PRIMARY, JUNIOR, FAR][..]),
        ("county", &[PRIMARY, JUNIOR, FAR]),
        ("township", &[PRIMARY, JUNIOR]),
        ("school", &[PRIMARY]),
        ("elsewhere", &[]),
    ] {
        let token = &guarded.one(name).token;
        for (code, terminal) in [(PRIMARY, "P-1"), (JUNIOR, "J-1"), (FAR, "X-1")] {
            let usages = v1::ListTerminalUsageRequest {
                school_code: code.to_owned(),
                ..Default::default()
            };
            let day = v1::GetTerminalDayRequest {
                terminal: terminal.to_owned(),
                ..Default::default()
            };
            let terminals = v1::ListTerminalsRequest {
                school_code: code.to_owned(),
                ..Default::default()
            };
            let codes = [
                usage.list_terminal_usage(with(token, usages)).await.err(),
                usage.get_terminal_day(with(token, day)).await.err(),
                registry.list_terminals(with(token, terminals)).await.err(),
            ];
            for status in codes {
                let code_said = status.map(|status| status.code());
                let expected = (!seen.contains(&code)).then_some(Code::PermissionDenied);
                assert_eq!(code_said, expected, "{name} {code}");
            }
        }
        let counties = registry
            .list_counties(with(token, v1::ListCountiesRequest {}))
            .await;
        let counties = counties.unwrap().into_inner().counties;
        assert_eq!(
            counties.len(),
            if name == "viewer" { 2 } else { 1 },
            "{name}"
        );
        // The ranking is the county's, and no other's.
        let ranking = |county: &str| v1::ListSchoolUsageRequest {
            county: county.to_owned(),
            ..Default::default()
        };
        let own = usage
            .list_school_usage(with(token, ranking("231123")))
            .await;
        let own = own.map(|answer| answer.into_inner().total_schools);
        match name {
            // To who has no business there the county does not even stand.
            "elsewhere" => assert_eq!(own.unwrap_err().code(), Code::NotFound),
            _ => assert_eq!(own.unwrap(), 3, "{name}"),
        }
        let scores = v1::GetMonitoringScoresRequest {
            county: "231124".to_owned(),
            ..Default::default()
        };
        let other = ScoringClient::new(channel.clone())
            .get_monitoring_scores(with(token, scores))
            .await;
        let other = other.unwrap_err().code();
        // A county without a calendar; to who has no business there it does not even stand.
        let own = ["viewer", "elsewhere"].contains(&name);
        let gone = [Code::PermissionDenied, Code::NotFound].contains(&other);
        assert_eq!(gone, !own, "{name}: {other:?}");
        // All terminals are a county's at least.
        let all = registry
            .list_terminals(with(token, v1::ListTerminalsRequest::default()))
            .await;
        match (name, all) {
            ("township" | "school", all) => denied(all),
            ("elsewhere", all) => assert_eq!(all.unwrap().into_inner().terminals, []),
            (_, all) => assert_eq!(all.unwrap().into_inner().terminals.len(), 3, "{name}"),
        }
    }
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_changes_its_part_of_the_country() {
    let guarded = Guarded::start().await;
    let channel = channel(&guarded).await;
    let mut registry = RegistryClient::new(channel.clone());
    let table = |county: &str, code: &str| {
        v1::ImportRequest {
        content: format!(
            "区县代码,区县名称,乡镇,学校标识码,学校名称,学段\n{county},某县,某镇,{code},丁小学,小学\n"
        )
        .into_bytes(),
        file_name: "schools.csv".to_owned(),
        ..Default::default()
    }
    };
    let code = |school: &str| v1::CreateEnrolmentCodeRequest {
        school_code: school.to_owned(),
        ..Default::default()
    };
    let approval = v1::ApproveTerminalsRequest {
        approvals: vec![v1::Approval {
            terminal: "P-1".to_owned(),
            school_code: PRIMARY.to_owned(),
            ..Default::default()
        }],
    };
    let elsewhere = guarded.one("elsewhere").token.clone();
    let before = guarded.log().await.len();
    for (county, school) in [("231123", "2123000009"), ("231124", PRIMARY)] {
        let refused = registry
            .import(with(&elsewhere, table(county, school)))
            .await;
        denied(refused);
    }
    denied(
        registry
            .create_enrolment_code(with(&elsewhere, code(PRIMARY)))
            .await,
    );
    denied(registry.approve_terminals(with(&elsewhere, approval)).await);
    assert_eq!(guarded.log().await.len(), before, "nothing was done");
    let own = registry
        .import(with(&elsewhere, table("231124", "2124000001")))
        .await
        .unwrap();
    assert!(own.into_inner().applied);
    registry
        .create_enrolment_code(with(&elsewhere, code("2124000001")))
        .await
        .unwrap();
    // The other registrar's code is out of reach.
    let registrar = guarded.one("registrar").token.clone();
    registry
        .create_enrolment_code(with(&registrar, code(PRIMARY)))
        .await
        .unwrap();
    denied(
        registry
            .revoke_enrolment_code(with(&elsewhere, v1::RevokeEnrolmentCodeRequest { id: 2 }))
            .await,
    );
    let listed = v1::ListEnrolmentCodesRequest::default();
    let listed = registry
        .list_enrolment_codes(with(&elsewhere, listed))
        .await
        .unwrap();
    assert_eq!(listed.into_inner().codes.len(), 1);
    let log = guarded.log().await.split_off(before);
    let told: Vec<_> = log
        .iter()
        .map(|one| (one.who.as_str(), one.action.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("token:elsewhere", "registry.change"),
            ("token:elsewhere", "code.add"),
            ("token:registrar", "code.add"),
        ]
    );
    // What is taken back holds no longer.
    let id = guarded.store().tokens().await.unwrap();
    let id = id
        .iter()
        .find(|one| one.name.as_str() == "elsewhere")
        .unwrap()
        .id;
    guarded.access.revoke_token(id).await.unwrap();
    let answer = registry
        .list_counties(with(&elsewhere, v1::ListCountiesRequest {}))
        .await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_school_sees_its_own_sheet_of_a_frozen_run() {
    let guarded = Guarded::start().await;
    let mut evaluation = EvaluationClient::new(channel(&guarded).await);
    let evaluator = guarded.one("evaluator").token.clone();
    assert_eq!(run(&guarded, "k", false).await, 1);
    let sheets = |school: &str| v1::ListScoreSheetsRequest {
        run: 1,
        school_code: school.to_owned(),
    };
    let explain = |school: &str| v1::ExplainRequest {
        run: 1,
        school_code: school.to_owned(),
        item: "4.3.1".to_owned(),
    };
    let school = guarded.one("school").token.clone();
    denied(
        evaluation
            .list_score_sheets(with(&school, sheets(PRIMARY)))
            .await,
    );
    denied(
        evaluation
            .get_run(with(&school, v1::GetRunRequest { run: 1 }))
            .await,
    );
    let freeze = v1::FreezeRunRequest {
        run: 1,
        by: "wang".to_owned(),
        accept_missing: true,
        ..Default::default()
    };
    evaluation
        .freeze_run(with(&evaluator, freeze))
        .await
        .unwrap();
    for name in ["school", "township"] {
        let token = guarded.one(name).token.clone();
        let mut own = evaluation
            .list_score_sheets(with(&token, sheets(PRIMARY)))
            .await
            .unwrap()
            .into_inner();
        let sheet = own.message().await.unwrap().unwrap();
        assert_eq!(sheet.school.unwrap().code, PRIMARY);
        assert_eq!(own.message().await.unwrap(), None);
        evaluation
            .explain(with(&token, explain(PRIMARY)))
            .await
            .unwrap();
        evaluation
            .get_run(with(&token, v1::GetRunRequest { run: 1 }))
            .await
            .unwrap();
        for other in [FAR, ""] {
            denied(
                evaluation
                    .list_score_sheets(with(&token, sheets(other)))
                    .await,
            );
        }
        denied(evaluation.explain(with(&token, explain(FAR))).await);
        let export = v1::ExportRunRequest {
            run: 1,
            ..Default::default()
        };
        denied(evaluation.export_run(with(&token, export)).await);
    }
    let log = guarded.log().await;
    for action in ["run.create", "run.freeze"] {
        let entry = log.iter().find(|one| one.action == action).unwrap();
        assert_eq!(entry.who, "token:evaluator");
    }
    let viewer = guarded.one("viewer").token.clone();
    let book = v1::GetEvidenceWorkbookRequest {
        run: 1,
        ..Default::default()
    };
    evaluation
        .get_evidence_workbook(with(&viewer, book))
        .await
        .unwrap();
    let last = guarded.log().await.pop().unwrap();
    assert_eq!(
        (last.who.as_str(), last.action.as_str()),
        ("token:viewer", "export")
    );
    guarded.stop().await;
}

/// Guesses, among them such as differ from a real token in one letter only.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_guessed_tokens_open_nothing_and_keep_nobody_out() {
    const GUESSES: usize = 4_000;
    let guarded = Guarded::start().await;
    let channel = channel(&guarded).await;
    let token = &guarded.one("viewer").token;
    let before = guarded.log().await.len();
    let ask = async |token: &str| {
        let mut registry = RegistryClient::new(channel.clone());
        let asked = registry.list_counties(with(token, v1::ListCountiesRequest {}));
        asked.await.map(drop).map_err(|status| status.code())
    };
    let guesses = (0..GUESSES).map(|number| {
        let at = token.len() - 1 - number % 40;
        let other = if token.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let near = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        let far = format!("cpt_{number:043}");
        if number % 2 == 0 { near } else { far }
    });
    let guesses: Vec<_> = guesses.collect();
    let asked = guesses.iter().map(|guess| ask(guess));
    let asked = futures::StreamExt::buffer_unordered(futures::stream::iter(asked), 100);
    let asked = futures::StreamExt::collect::<Vec<_>>(asked);
    let honest = async {
        let began = tokio::time::Instant::now();
        let answer = ask(token).await;
        (answer, began.elapsed())
    };
    let (answers, (honest, took)) = futures::future::join(asked, honest).await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Err(Code::Unauthenticated)),
        "a guess got in"
    );
    assert_eq!(honest, Ok(()));
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    assert_eq!(guarded.log().await.len(), before, "the log is not flooded");
    guarded.stop().await;
}
