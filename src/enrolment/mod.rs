//! How a machine becomes a terminal: it shows its school's code and gets a name and a key; and who may log in with which.
//!
//! One [`Enrolment`] serves the embedded broker, the reader of an outside broker and their tests: bytes in, an answer
//! out. Not responsible for carrying them (`broker`, `ingest::outside`) or for keeping anything (store).

mod code;
mod keys;
mod listing;
mod rate;
mod salted;

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use classpulse_proto::v1::{
    self, EnrolRefusal, EnrolRequest, EnrolResponse, enrol_response::Result as Said,
};
use jiff::{Timestamp, tz::TimeZone};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

pub use self::{
    code::{Code, MAX_DAYS, MAX_USES, Terms, create_code},
    keys::{Admission, Pass},
    listing::list_keys,
    salted::{is_of, new_entry, password_entry},
};
use self::{
    keys::{Keys, Known, Shown},
    rate::Rate,
    salted::salted,
};
use crate::{
    clock::SharedClock,
    domain::{
        hardware::{Hardware, MAX_MACS, Mark},
        ids::TerminalId,
    },
    observe::{Metrics, chain},
    store::{self, Digest, Enrolled, KeyChange, SharedStore},
};

/// Largest request, bytes. A real one has about 300.
pub const MAX_REQUEST_BYTES: usize = 4_096;

/// Longest name of a room, characters.
const MAX_ROOM: usize = 64;

/// Requests in a second, and how many may come at once. One enrolment is a few milliseconds of the store; a code has 58
/// random bits, so that trying codes at this rate is hopeless.
const RATE: (u32, u32) = (20, 40);

/// The same for new keys, each of which takes two: a county's 20,000 terminals are through in ten minutes, and no machine that
/// enrols waits behind them.
const RENEWALS: (u32, u32) = (80, 160);

/// Answers machines that want to be terminals, and knows terminals' keys.
#[derive(Debug)]
pub struct Enrolment {
    store: SharedStore,
    clock: SharedClock,
    /// Cuts days: a new terminal is in service from today on.
    zone: TimeZone,
    metrics: Arc<Metrics>,
    keys: Keys,
    rate: Mutex<Rate>,
    renewals: Mutex<Rate>,
}

/// Why a machine is not answered with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Code(&'static str),
    Malformed(&'static str),
    Busy(&'static str),
}

impl Enrolment {
    /// `keys_required` where a terminal without a key may not log in at all.
    #[must_use]
    pub fn new(
        store: SharedStore,
        clock: SharedClock,
        zone: TimeZone,
        metrics: Arc<Metrics>,
        keys_required: bool,
    ) -> Self {
        let keys = Keys::new(store.clone(), clock.clone(), keys_required);
        Self {
            store,
            clock,
            zone,
            metrics,
            keys,
            rate: Mutex::new(Rate::new(RATE.0, RATE.1)),
            renewals: Mutex::new(Rate::new(RENEWALS.0, RENEWALS.1)),
        }
    }

    /// Whether a terminal may log in with what it shows.
    pub async fn admit(&self, terminal: &str, shown: Option<&[u8]>) -> Admission {
        self.keys.admit(terminal, shown).await
    }

    /// Whether a terminal that was let in may stay, by what was known at the last [`Enrolment::refresh`].
    #[must_use]
    pub fn holds(&self, terminal: &str, pass: Pass) -> bool {
        self.keys.holds(terminal, pass)
    }

    /// Whether a terminal's key was revoked, by what was known at the last [`Enrolment::refresh`].
    #[must_use]
    pub fn is_revoked(&self, terminal: &str) -> bool {
        self.keys.read(terminal).is_some_and(|known| known.revoked)
    }

    /// Whether a terminal is to ask for a new key, by what was known at the last [`Enrolment::refresh`].
    #[must_use]
    pub fn wants_new_key(&self, terminal: &str) -> bool {
        self.keys
            .read(terminal)
            .is_some_and(|known| known.renew && !known.revoked)
    }

    /// Rises whenever what is known of keys changes.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.keys.changes()
    }

    /// Learns what other processes have changed. Cheap: the store is asked at most once a second.
    pub async fn refresh(&self) {
        self.keys.freshen().await;
    }

    /// The answer to a request as it came from the passing name `from`. `shown` is what that client logged in with,
    /// where that is known: it must be the same code.
    pub async fn answer(&self, from: &str, shown: Option<&[u8]>, payload: &[u8]) -> EnrolResponse {
        let now = self.clock.now();
        let answered = self.judge(shown, payload, now).await;
        self.metrics.enrolment(answered.is_ok());
        let result = match answered {
            Ok(enrolled) => {
                let (terminal, known) = (enrolled.terminal.as_str(), enrolled.known);
                info!(from, terminal, known, "a machine has its key");
                Said::Enrolled(enrolled)
            }
            Err(refusal) => {
                let (refusal, why) = match refusal {
                    Refusal::Code(why) => (EnrolRefusal::Code, why),
                    Refusal::Malformed(why) => (EnrolRefusal::Malformed, why),
                    Refusal::Busy(why) => (EnrolRefusal::Busy, why),
                };
                info!(from, why, "a machine was not enrolled");
                Said::Refusal(refusal.into())
            }
        };
        response(result, now)
    }

    /// The answer while the service stops.
    #[must_use]
    pub fn busy(&self) -> EnrolResponse {
        response(Said::Refusal(EnrolRefusal::Busy.into()), self.clock.now())
    }

    async fn judge(
        &self,
        shown: Option<&[u8]>,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<v1::Enrolled, Refusal> {
        let asked = read(payload);
        let rate = match &asked {
            Ok(Asked::Key(_)) => &self.renewals,
            _ => &self.rate,
        };
        let room = {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(now)
        };
        if !room {
            return Err(Refusal::Busy("too many requests at once"));
        }
        let request = match asked? {
            Asked::Key(renewal) => return self.renew(renewal, now).await,
            Asked::Identity(request) => request,
        };
        if let Some(shown) = shown {
            let same = Code::normal(&String::from_utf8_lossy(shown))
                .is_some_and(|shown| shown.is(&request.code));
            if !same {
                return Err(Refusal::Code("the password is not the request's code"));
            }
        }
        let key = new_key();
        let hash = digest(key.as_bytes());
        let enrolment = store::Enrolment {
            code: request.code.digest(),
            hardware: request.hardware,
            key: hash,
            salted: salted(key.as_bytes()),
            room: request.room,
            at: now.as_second(),
            today: self.zone.to_datetime(now).date(),
        };
        match self.store.enrol(enrolment).await {
            Ok(Enrolled::Done {
                terminal,
                known,
                school,
            }) => {
                self.keys.learn(&terminal, hash).await;
                Ok(v1::Enrolled {
                    terminal: terminal.to_string(),
                    key,
                    known,
                    school: school.name,
                })
            }
            Ok(Enrolled::Refused(fault)) => Err(Refusal::Code(fault.said())),
            Err(error) => {
                warn!(error = %chain(&error), "an enrolment failed in the store");
                Err(Refusal::Busy("the store failed"))
            }
        }
    }
}

impl Enrolment {
    /// A terminal shows its key, and hears which one to use from now on. Both hold until the new one was used, which may
    /// be here.
    async fn renew(&self, renewal: v1::Renewal, now: Timestamp) -> Result<v1::Enrolled, Refusal> {
        const OTHER: Refusal = Refusal::Code("the key that is shown is another one");
        self.keys.freshen().await;
        let v1::Renewal { terminal, key } = renewal;
        let Ok(id) = terminal.parse::<TerminalId>() else {
            return Err(Refusal::Malformed("no terminal's id"));
        };
        let hash = digest(key.as_bytes());
        let known = self.keys.read(&terminal).ok_or(OTHER)?;
        let shown = known.compare(&hash).ok_or(OTHER)?;
        if known.revoked {
            return Err(Refusal::Code("the key was revoked"));
        }
        let key = match shown {
            Shown::Next => {
                self.keys.used(&terminal, hash).await;
                key
            }
            Shown::Current if known.renew => self.offer(&id, known, now).await?.unwrap_or(key),
            Shown::Current => key,
        };
        Ok(v1::Enrolled {
            terminal,
            key,
            known: true,
            school: String::new(),
        })
    }

    /// A new key beside the one that holds; none where somebody else has changed it meanwhile.
    async fn offer(
        &self,
        terminal: &TerminalId,
        known: Known,
        now: Timestamp,
    ) -> Result<Option<String>, Refusal> {
        let key = new_key();
        let next = digest(key.as_bytes());
        let change = KeyChange::Offer {
            shown: known.hash,
            next,
            salted: salted(key.as_bytes()),
        };
        let one = std::slice::from_ref(terminal);
        match self.store.change_keys(one, change, now.as_second()).await {
            Ok(0) => Ok(None),
            Ok(_) => {
                let next = Some(next);
                self.keys.put(terminal, Known { next, ..known }).await;
                Ok(Some(key))
            }
            Err(error) => {
                warn!(error = %chain(&error), "a new key could not be kept");
                Err(Refusal::Busy("the store failed"))
            }
        }
    }
}

/// 256 random bits, 43 characters.
fn new_key() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn response(result: Said, now: Timestamp) -> EnrolResponse {
    EnrolResponse {
        result: Some(result),
        server_time_ms: now.as_millisecond(),
    }
}

/// SHA-256 of a secret that is random throughout.
fn digest(secret: &[u8]) -> Digest {
    Sha256::digest(secret).into()
}

/// Compares without telling by its time how far two secrets agree.
fn same(one: &Digest, other: &Digest) -> bool {
    one.ct_eq(other).into()
}

/// What is asked for.
enum Asked {
    /// By a machine that wants to be a terminal.
    Identity(Request),
    /// By a terminal.
    Key(v1::Renewal),
}

/// A request that has its form.
#[derive(Debug)]
struct Request {
    code: Code,
    hardware: Hardware,
    room: String,
}

fn read(payload: &[u8]) -> Result<Asked, Refusal> {
    if payload.len() > MAX_REQUEST_BYTES {
        return Err(Refusal::Malformed("the request is too large"));
    }
    let request = EnrolRequest::decode(payload)
        .map_err(|_undecodable| Refusal::Malformed("the request can't be decoded"))?;
    if let Some(renewal) = request.renew {
        return Ok(Asked::Key(renewal));
    }
    let room = request.room.trim();
    if room.chars().count() > MAX_ROOM || room.chars().any(char::is_control) {
        return Err(Refusal::Malformed("the room is too long, or no text"));
    }
    let hardware = hardware(request.hardware.unwrap_or_default())
        .ok_or(Refusal::Malformed("a hardware mark has not 16 bytes"))?;
    // Last, so that what is malformed is said so: a code is not worth a guess without the rest.
    let code = Code::normal(&request.code).ok_or(Refusal::Code("this is no code at all"))?;
    Ok(Asked::Identity(Request {
        code,
        hardware,
        room: room.to_owned(),
    }))
}

fn hardware(from: v1::Hardware) -> Option<Hardware> {
    let mark = |bytes: Vec<u8>| -> Option<Option<Mark>> {
        if bytes.is_empty() {
            return Some(None);
        }
        bytes.try_into().ok().map(Some)
    };
    if from.macs.len() > MAX_MACS {
        return None;
    }
    let macs: Option<Vec<Mark>> = from
        .macs
        .into_iter()
        .map(|mac| mac.try_into().ok())
        .collect();
    let mut macs = macs?;
    macs.sort_unstable();
    macs.dedup();
    Some(Hardware {
        board: mark(from.board)?,
        disk: mark(from.disk)?,
        macs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> EnrolRequest {
        EnrolRequest {
            code: "7kq4 m2xd-9tra".to_owned(),
            hardware: Some(v1::Hardware {
                board: vec![1; 16],
                disk: Vec::new(),
                macs: vec![vec![3; 16], vec![2; 16], vec![3; 16]],
            }),
            facts: None,
            room: " 三年一班 ".to_owned(),
            renew: None,
        }
    }

    fn read(payload: &[u8]) -> Result<Request, Refusal> {
        match super::read(payload)? {
            Asked::Identity(request) => Ok(request),
            Asked::Key(_) => panic!("a renewal"),
        }
    }

    #[test]
    fn a_request_is_read_into_its_normal_form() {
        let read = read(&request().encode_to_vec()).unwrap();
        assert_eq!(read.room, "三年一班");
        assert_eq!(read.hardware.macs, [[2; 16], [3; 16]]);
        assert_eq!(
            (read.hardware.board, read.hardware.disk),
            (Some([1; 16]), None)
        );
    }

    #[test]
    fn what_has_no_form_is_malformed() {
        let wrong = |change: fn(&mut EnrolRequest)| {
            let mut request = request();
            change(&mut request);
            read(&request.encode_to_vec()).unwrap_err()
        };
        for change in [
            (|one| one.room = "长".repeat(65)) as fn(&mut EnrolRequest),
            |one| one.room = "a\u{7}".to_owned(),
            |one| one.hardware.as_mut().unwrap().board = vec![1; 15],
            |one| one.hardware.as_mut().unwrap().macs = vec![vec![]],
            |one| one.hardware.as_mut().unwrap().macs = vec![vec![1; 16]; 9],
            |one| one.code = "x".repeat(5_000),
        ] {
            assert!(matches!(wrong(change), Refusal::Malformed(_)));
        }
        assert!(matches!(read(&[0xff; 9]), Err(Refusal::Malformed(_))));
        let code = wrong(|one| one.code = "7KQ4-M2XD".to_owned());
        assert!(matches!(code, Refusal::Code(_)), "{code:?}");
    }
}
