//! What outside brokers with HTTP authentication (EMQX 5, RMQTT) ask: whether a client may log in, and whether it may
//! publish or subscribe.
//!
//! The same rules as at the embedded broker. A broker shows a secret in the header [`SECRET_HEADER`]; without it the answer
//! is always no, as it is when anything is unclear: both brokers go on to the next means of theirs after an error status,
//! so that refusals are said in words. JSON is answered in JSON (EMQX), a form in plain text (RMQTT).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{
        HeaderMap,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::post,
};
use classpulse_proto::topic;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

use super::rules::{MAX_PASSWORD, Role, may_publish, may_subscribe, role};
use crate::{
    enrolment::{Admission, Enrolment},
    observe::Metrics,
};

/// Where the broker shows its secret.
pub const SECRET_HEADER: &str = "x-classpulse-secret";

/// Shortest secret.
pub const MIN_SECRET: usize = 32;

/// Largest question: names, a password and a topic.
const MAX_QUESTION: usize = 16 * 1024;

/// One stranger's question in so many is logged.
const LOG_EVERY: u64 = 100;

/// Strangers' questions so far.
static STRANGERS: AtomicU64 = AtomicU64::new(0);

/// What answers need.
pub struct Questions {
    /// Knows keys.
    pub enrolment: Arc<Enrolment>,
    /// Counts refusals.
    pub metrics: Arc<Metrics>,
    /// What the broker must show.
    pub secret: String,
    /// Our own user and password at that broker, which asks about us as well.
    pub own: Option<(String, String)>,
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

/// `POST /broker/auth` and `POST /broker/acl`.
pub fn router(questions: Questions) -> Router {
    Router::new()
        .route("/broker/auth", post(auth))
        .route("/broker/acl", post(acl))
        .layer(DefaultBodyLimit::max(MAX_QUESTION))
        .with_state(Arc::new(questions))
}

/// What a broker asks about. Names that are missing are empty, and fit nobody.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Question {
    clientid: String,
    username: String,
    password: String,
    topic: String,
    /// EMQX: `publish` or `subscribe`.
    action: String,
    /// RMQTT: 1 subscribe, 2 publish.
    access: String,
}

impl Question {
    fn of_form(body: &[u8]) -> Self {
        let mut question = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let field = match name.as_ref() {
                "clientid" => &mut question.clientid,
                "username" => &mut question.username,
                "password" => &mut question.password,
                "topic" => &mut question.topic,
                "action" => &mut question.action,
                "access" => &mut question.access,
                _ => continue,
            };
            *field = value.into_owned();
        }
        question
    }
}

/// What came as a question, or why it can't be one: it is too long, or its sender went away.
type Asked = Result<Bytes, BytesRejection>;

async fn auth(
    State(questions): State<Arc<Questions>>,
    headers: HeaderMap,
    asked: Asked,
) -> Response {
    let json = is_json(&headers);
    let Some(question) = questions.read(&headers, asked) else {
        return questions.say(false, json, None);
    };
    let refused = questions.log_in(&question).await.err();
    if let Some(why) = refused {
        let client = clipped(&question.clientid);
        info!(client, why, "an outside broker's login is refused");
    }
    let never = if questions.is_own(&question) {
        &[][..]
    } else {
        &NEVER
    };
    questions.say(refused.is_none(), json, Some(never))
}

async fn acl(
    State(questions): State<Arc<Questions>>,
    headers: HeaderMap,
    asked: Asked,
) -> Response {
    let allowed = match questions.read(&headers, asked) {
        None => false,
        Some(question) => {
            let allowed = questions.may(&question).await;
            if !allowed {
                let (client, topic) = (clipped(&question.clientid), clipped(&question.topic));
                info!(client, topic, "refused at an outside broker");
            }
            allowed
        }
    };
    questions.say(allowed, is_json(&headers), None)
}

/// What somebody does (`publish`, `subscribe`), and to which topics.
type Deed = (&'static str, &'static str);

/// An answer's kind and text: EMQX's JSON, or for RMQTT a word, or with what the client may never do RMQTT's JSON.
///
/// RMQTT keeps that with the connection. In its later questions it names the client as it fills the name in then, which need
/// not be the name of the login (see `deploy/broker/rmqtt`): nobody becomes the service so.
fn answer(allowed: bool, json: bool, never: Option<&[Deed]>) -> (&'static str, String) {
    let result = if allowed { "allow" } else { "deny" };
    let said = match never {
        _ if json => json!({ "result": result, "is_superuser": false }),
        None => return ("text/plain", result.to_owned()),
        Some(never) => {
            let rules: Vec<_> = never
                .iter()
                .map(|(action, topic)| json!({ "permission": "deny", "action": action, "topic": topic }))
                .collect();
            json!({ "result": result, "superuser": false, "acl": rules })
        }
    };
    ("application/json", said.to_string())
}

/// What the service alone does at a broker.
const NEVER: [Deed; 6] = [
    ("subscribe", topic::ALL_REPORTS),
    ("subscribe", topic::ALL_ENROLS),
    ("subscribe", topic::SHARED_REPORTS),
    ("subscribe", topic::SHARED_ENROLS),
    ("publish", topic::ALL_ACKS),
    ("publish", topic::ALL_ENROLLED),
];

/// As much as a log should hold of what a stranger says.
fn clipped(text: &str) -> String {
    text.chars().take(100).collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers
        .get(CONTENT_TYPE)
        .and_then(|said| said.to_str().ok());
    said.is_some_and(|said| said.trim_start().starts_with("application/json"))
}

fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    one.as_slice().ct_eq(other.as_slice()).into()
}

/// Whether it is a topic on which we answer.
fn own_answer(to: &str) -> bool {
    topic::parse(to).is_some_and(|(_, channel)| {
        matches!(channel, topic::Channel::Ack | topic::Channel::Enrolled)
    })
}

impl Questions {
    /// The question of a broker that shows the secret.
    fn read(&self, headers: &HeaderMap, asked: Asked) -> Option<Question> {
        let shown = headers.get(SECRET_HEADER).and_then(|it| it.to_str().ok());
        if !shown.is_some_and(|shown| same(shown, &self.secret)) {
            let before = STRANGERS.fetch_add(1, Relaxed);
            if before.is_multiple_of(LOG_EVERY) {
                warn!(
                    before,
                    "somebody asks as an outside broker does, with no secret or another one"
                );
            }
            return None;
        }
        let read = asked.ok().and_then(|body| {
            if is_json(headers) {
                serde_json::from_slice(&body).ok()
            } else {
                Some(Question::of_form(&body))
            }
        });
        if read.is_none() {
            warn!("an outside broker's question can't be read; see deploy/broker");
        }
        read
    }

    /// Whether the client says that it is the service.
    fn is_own(&self, asked: &Question) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|(user, _)| asked.username == *user)
    }

    async fn log_in(&self, asked: &Question) -> Result<(), &'static str> {
        let shown = asked.password.as_bytes();
        if let Some((user, password)) = &self.own
            && asked.username == *user
        {
            let right = same(&asked.password, password);
            return right.then_some(()).ok_or("not our own password");
        }
        let role = role(&asked.clientid, &asked.username);
        let role = role.ok_or("client id and user name must name one terminal")?;
        if role == Role::Machine {
            let fits = (1..=MAX_PASSWORD).contains(&shown.len());
            return fits.then_some(()).ok_or("a machine shows no code");
        }
        let shown = (!shown.is_empty()).then_some(shown);
        match self.enrolment.admit(&asked.username, shown).await {
            Admission::Allowed(pass) if role == Role::Terminal || pass.has_key() => Ok(()),
            Admission::Allowed(_) => Err("it has no key to renew"),
            Admission::Refused(why) => Err(why),
            Admission::Unknown => Err("the store does not tell keys"),
        }
    }

    async fn may(&self, asked: &Question) -> bool {
        let publish = match (asked.action.as_str(), asked.access.as_str()) {
            ("publish", "") | ("", "2") => true,
            ("subscribe", "") | ("", "1") => false,
            _ => return false,
        };
        if self.is_own(asked) {
            return if publish {
                own_answer(&asked.topic)
            } else {
                OWN_FILTERS.contains(&asked.topic.as_str())
            };
        }
        if role(&asked.clientid, &asked.username).is_none() {
            return false;
        }
        self.enrolment.refresh().await;
        if self.enrolment.is_revoked(&asked.username) {
            return false;
        }
        if publish {
            may_publish(&asked.clientid, &asked.topic)
        } else {
            may_subscribe(&asked.clientid, &asked.topic)
        }
    }

    fn say(&self, allowed: bool, json: bool, never: Option<&[Deed]>) -> Response {
        if !allowed {
            self.metrics.broker_refusal();
        }
        let (kind, said) = answer(allowed, json, never);
        ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], said).into_response()
    }
}

/// What we read at an outside broker. Some brokers ask about a shared filter without its group.
const OWN_FILTERS: [&str; 4] = [
    topic::ALL_REPORTS,
    topic::ALL_ENROLS,
    topic::SHARED_REPORTS,
    topic::SHARED_ENROLS,
];
