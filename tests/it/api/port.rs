//! What stands beside the services on the port: health, reflection, gRPC-Web, plain HTTP, the stop.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that is wrong must stop the test"
)]

use super::*;

#[tokio::test]
async fn health_follows_the_drain_and_open_streams_do_not_hold_up_the_stop() {
    let mut front = Front::new().await;
    let mut health = HealthClient::new(front.channel.clone());
    let ask = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for service in [
        "",
        "classpulse.v1.Usage",
        "classpulse.v1.Scoring",
        "classpulse.v1.Registry",
        "classpulse.v1.Ingest",
    ] {
        let status = health
            .check(ask(service))
            .await
            .unwrap()
            .into_inner()
            .status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let mut watch = health.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    let mut changes = front
        .usage()
        .watch_school_days(v1::WatchSchoolDaysRequest::default())
        .await
        .unwrap()
        .into_inner();
    front.drain.cancel();
    assert!(changes.message().await.unwrap().is_none());
    while health
        .check(ask("classpulse.v1.Usage"))
        .await
        .unwrap()
        .into_inner()
        .status()
        != ServingStatus::NotServing
    {
        tokio::task::yield_now().await;
    }
    // Between drain and stop, questions are still answered.
    front
        .registry()
        .list_counties(v1::ListCountiesRequest {})
        .await
        .unwrap();
    front.shutdown.cancel();
    let done = tokio::time::timeout(Duration::from_secs(5), front.served.join_next())
        .await
        .unwrap();
    done.unwrap().unwrap().unwrap();
    while let Some(Ok(_)) = watch.next().await {}
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let front = Front::new().await;
    let ask = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
        ..Default::default()
    };
    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(front.channel.clone());
    let mut answers = client
        .server_reflection_info(futures::stream::iter([ask]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in ["Usage", "Scoring", "Registry", "Ingest"] {
        assert!(
            names.contains(&format!("classpulse.v1.{name}").as_str()),
            "{names:?}"
        );
    }
    assert!(names.contains(&"grpc.health.v1.Health"));

    let symbol = "classpulse.v1.SchoolUsage".to_owned();
    let ask = v1alpha::ServerReflectionRequest {
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol),
        ),
        ..Default::default()
    };
    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(front.channel.clone());
    let mut answers = client
        .server_reflection_info(futures::stream::iter([ask]))
        .await
        .unwrap()
        .into_inner();
    assert!(
        answers
            .message()
            .await
            .unwrap()
            .unwrap()
            .message_response
            .is_some()
    );
}

#[tokio::test]
async fn grpc_web_and_plain_http_share_the_port() {
    let front = Front::new().await;
    let body = framed(&v1::ListCountiesRequest {});
    let head = "POST /classpulse.v1.Registry/ListCounties HTTP/1.1\r\ncontent-type: application/grpc-web+proto";
    let answer = front.raw(head, &body).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("application/grpc-web+proto"),
        "{answer}"
    );
    assert!(
        answer.contains("逊克县") && answer.contains("grpc-status:0"),
        "{answer}"
    );

    let metrics = front.raw("GET /metrics HTTP/1.1", &[]).await;
    assert!(
        metrics.starts_with("HTTP/1.1 200") && metrics.ends_with("up 1\n"),
        "{metrics}"
    );
    assert!(
        front
            .raw("GET /nowhere HTTP/1.1", &[])
            .await
            .starts_with("HTTP/1.1 404")
    );
}
