//! Every gRPC request has an end: the service's own limit, or the caller's `grpc-timeout` where that is shorter.
//!
//! A stream is limited only until it begins. Not responsible for plain HTTP routes.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use tonic::Status;

/// How much sooner than the caller gives up the refusal is sent, so that it still arrives.
const AHEAD: Duration = Duration::from_millis(20);

/// Answers `DEADLINE_EXCEEDED` in time; the work is dropped.
pub(super) async fn keep(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let asked = asked(request.headers()).map(|asked| asked.saturating_sub(AHEAD.min(asked / 2)));
    let limit = asked.map_or(limit, |asked| asked.min(limit));
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            let message = format!(
                "no answer within {} ms: ask for less, or allow more time",
                limit.as_millis()
            );
            Status::deadline_exceeded(message).into_http()
        }
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2).
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_read_as_the_protocol_writes_it() {
        for (text, expected) in [
            ("250m", Some(Duration::from_millis(250))),
            ("2S", Some(Duration::from_secs(2))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("7u", Some(Duration::from_micros(7))),
            ("", None),
            ("S", None),
            ("+1S", None),
            ("123456789S", None),
            ("5x", None),
        ] {
            let headers =
                HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            assert_eq!(asked(&headers), expected, "{text}");
        }
        assert_eq!(asked(&HeaderMap::new()), None);
    }
}
