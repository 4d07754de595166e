//! Bytes to a `Report`: protobuf, or protobuf's JSON mapping, told apart by the first byte.
//!
//! Not responsible for whether the report can be believed (`check`).

use classpulse_proto::v1::Report;
use prost::Message as _;

use super::reason::Reason;

/// Largest report, in bytes. Agents split far below; a report of 1,000 sessions takes about 25 KB.
pub const MAX_REPORT_BYTES: usize = 64 * 1024;

/// Takes a report out of its bytes.
///
/// # Errors
/// The reason and a sentence for quarantine.
pub fn decode(payload: &[u8]) -> Result<Report, (Reason, String)> {
    if payload.len() > MAX_REPORT_BYTES {
        let detail = format!("{} bytes, at most {MAX_REPORT_BYTES}", payload.len());
        return Err((Reason::TooLarge, detail));
    }
    if is_json(payload) {
        return serde_json::from_slice(payload)
            .map_err(|error| (Reason::Undecodable, format!("JSON: {error}")));
    }
    Report::decode(payload).map_err(|error| (Reason::Undecodable, format!("protobuf: {error}")))
}

/// No protobuf Report begins so: `{` would open field 15 as a group, white space fields 1 and 4 with other types.
fn is_json(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(b'{' | b' ' | b'\t' | b'\n' | b'\r'))
        && payload.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use classpulse_proto::v1::{Kind, Session};

    use super::*;

    fn report() -> Report {
        Report {
            boot_id: vec![7; 16],
            sequence: 3,
            sent_at: 1_788_220_800,
            sessions: vec![Session {
                kind: Kind::Used.into(),
                number: 1,
                start: 1,
                end: 2,
                open: true,
            }],
            terminal: "a-1".to_owned(),
            ..Report::default()
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let report = report();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(decode(&report.encode_to_vec()).unwrap(), report);
        assert_eq!(decode(json.as_bytes()).unwrap(), report);
        assert_eq!(decode(format!("\n {json}").as_bytes()).unwrap(), report);
        assert!(json.contains("\"KIND_USED\""), "{json}");
    }

    #[test]
    fn rubbish_is_named() {
        assert_eq!(decode(&[0xff; 20]).unwrap_err().0, Reason::Undecodable);
        assert_eq!(
            decode(b"{\"sequence\": \"x\"}").unwrap_err().0,
            Reason::Undecodable
        );
        assert_eq!(
            decode(&vec![0; MAX_REPORT_BYTES + 1]).unwrap_err().0,
            Reason::TooLarge
        );
    }
}
