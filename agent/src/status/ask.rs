//! The command's side: the running agent's word, and what its files say.

use serde_json::{Value, json};

use super::{session, time};
use crate::{
    chain::chain,
    config::Config,
    core::JournalState,
    identity::{Identity, IdentityFile},
    journal::FileJournal,
    local::carrier,
};

/// How the agent is. Fit for any user: what may not be read is said so.
#[must_use]
pub fn ask(config: &Config) -> Value {
    // No agent, or one that is busy: its files speak.
    let agent = carrier::ask_status(&config.socket)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .filter(Value::is_object);
    let loaded = FileJournal::new(config.journal.clone()).look();
    let troubles: Vec<String> = loaded
        .troubles
        .iter()
        .map(|trouble| chain(trouble))
        .collect();
    let identity = IdentityFile::new(config.identity.clone()).look().said;
    json(
        config,
        identity.as_ref(),
        loaded.state.as_ref(),
        &troubles,
        agent.as_ref(),
    )
}

fn json(
    config: &Config,
    identity: Option<&Identity>,
    journal: Option<&JournalState>,
    troubles: &[String],
    agent: Option<&Value>,
) -> Value {
    let identity = identity.filter(|identity| identity.is_enrolled());
    let said = |key: &str| agent.map_or(Value::Null, |agent| agent[key].clone());
    let or = |first: Value, other: Value| if first.is_null() { other } else { first };
    let terminal = config
        .terminal
        .as_deref()
        .or(identity.map(|identity| identity.terminal.as_str()));
    let last_ack = journal
        .map(|state| state.last_ack_ms.div_euclid(1_000))
        .filter(|at| *at != 0);
    let last_ack = or(said("last_ack"), json!(last_ack));
    let (heartbeat, idle) = settings(config, journal);
    json!({
        "running": agent.is_some(),
        "terminal": or(said("terminal"), json!(terminal)),
        "school": or(said("school"), json!(identity.map(|identity| &identity.school))),
        "enrolled_at": identity.map(|identity| identity.enrolled_at),
        "server": format!("{}:{}", config.host, config.port),
        "tls": config.ca_file.is_some(),
        "utc_offset_minutes": config.utc_offset_minutes,
        "journal": config.journal,
        "journal_bytes": FileJournal::new(config.journal.clone()).size(),
        "journal_troubles": troubles,
        "heartbeat_seconds": or(said("heartbeat_seconds"), json!(heartbeat)),
        "idle_seconds": or(said("idle_seconds"), json!(idle)),
        "last_ack_utc": last_ack.as_i64().map(time::utc),
        "last_ack": last_ack,
        "waiting": journal.map(|state| state.sessions().iter().map(session).collect::<Vec<_>>()),
        "agent": agent,
    })
}

/// What holds now: the service's word, else the configuration's.
fn settings(config: &Config, journal: Option<&JournalState>) -> (u32, u32) {
    let either = |ordered, own| if ordered == 0 { own } else { ordered };
    let ordered = journal.map_or((0, 0), |state| {
        (state.heartbeat_seconds, state.idle_seconds)
    });
    (
        either(ordered.0, config.heartbeat_seconds),
        either(ordered.1, config.idle_seconds),
    )
}
