//! The same for people: one line for each thing that they may ask.

use std::fmt::Write as _;

use serde_json::Value;

use super::time;

/// Sessions listed at most; a term offline has thousands.
const MOST_SESSIONS: usize = 20;

/// What [`super::ask`] answered, in words. Times are a classroom's (UTC+8).
#[must_use]
pub fn words(status: &Value) -> String {
    let mut page = String::new();
    let mut line = |name: &str, text: String| {
        // A string takes everything.
        let _ = writeln!(page, "{name:<12} {text}");
    };
    let agent = &status["agent"];
    let running = match agent["running_since"].as_i64() {
        Some(since) => format!("running since {}", time::local(since)),
        None => "not running; what follows is what its files say".to_owned(),
    };
    line("agent", running);
    line("terminal", terminal(status));
    line("server", server(status));
    if let Some(what) = agent["last_error"]["what"].as_str() {
        line(
            "last error",
            format!("{} {what}", moment(&agent["last_error"]["at"])),
        );
    }
    line(
        "last answer",
        match status["last_ack"].as_i64() {
            Some(at) => time::local(at),
            None => "never".to_owned(),
        },
    );
    if agent.is_object() {
        line("clock", clock(&agent["clock"]));
        let today = &agent["today"];
        line(
            "today",
            format!(
                "{}: {} min powered, {} min used, by this agent's sessions",
                today["day"].as_str().unwrap_or_default(),
                today["powered_minutes"],
                today["used_minutes"]
            ),
        );
        for source in agent["sensing"].as_array().into_iter().flatten() {
            let text = |key: &str| source[key].as_str().unwrap_or_default();
            line("senses", format!("{:<8} {}", text("source"), text("words")));
        }
    }
    line("journal", journal(status));
    line(
        "settings",
        format!(
            "a report every {} s, use ends after {} s without input",
            status["heartbeat_seconds"], status["idle_seconds"]
        ),
    );
    let waiting = status["waiting"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    line(
        "waiting",
        format!("{} sessions without an acknowledgement", waiting.len()),
    );
    let skipped = waiting.len().saturating_sub(MOST_SESSIONS);
    if skipped > 0 {
        line("", format!("{skipped} older ones are not listed"));
    }
    for session in &waiting[skipped..] {
        line("", seen(session));
    }
    page
}

fn terminal(status: &Value) -> String {
    let school = status["school"].as_str().unwrap_or_default();
    match status["terminal"].as_str() {
        Some(terminal) => format!("{terminal} {school}").trim_end().to_owned(),
        None => "not enrolled / 未注册".to_owned(),
    }
}

fn server(status: &Value) -> String {
    let address = status["server"].as_str().unwrap_or_default();
    let tls = if status["tls"] == true {
        "TLS"
    } else {
        "plain text"
    };
    let connection = &status["agent"]["connection"];
    let state = match connection["state"].as_str() {
        None => return format!("{address} ({tls})"),
        Some("waiting") => "not connected yet",
        Some("up") => "connected",
        Some("down") => "no connection / 无法连接",
        Some("impostor") => "refused: something else answers in its place / 服务器身份不符",
        Some("denied") => "it refuses this terminal's key / 服务器拒绝本机密钥",
        Some("not_enrolled") => "this machine is not enrolled / 本机未注册",
        Some(other) => other,
    };
    format!(
        "{address} ({tls}): {state} since {}",
        moment(&connection["since"])
    )
}

fn clock(clock: &Value) -> String {
    let off = clock["system_off_seconds"].as_i64().unwrap_or(0);
    match (clock["trusted"] == true, off) {
        (false, _) => "nobody vouches for it yet; sessions wait / 时间未校准".to_owned(),
        (true, 0) => "right".to_owned(),
        (true, off) if off > 0 => format!("known; the system's clock is {off} s ahead"),
        (true, off) => format!(
            "known; the system's clock is {} s behind",
            off.unsigned_abs()
        ),
    }
}

fn journal(status: &Value) -> String {
    let path = status["journal"].as_str().unwrap_or_default();
    let written = &status["agent"]["journal"];
    let size = match status["journal_bytes"].as_u64() {
        Some(bytes) => format!("{bytes} bytes"),
        None => "not to be seen from here".to_owned(),
    };
    let when = match (written["trouble"].as_str(), written["written"].as_i64()) {
        (Some(trouble), _) => format!(", NOT WRITTEN, kept in memory only / 无法写入: {trouble}"),
        (None, Some(at)) => format!(", written {}", time::local(at)),
        (None, None) => String::new(),
    };
    format!("{path} ({size}){when}")
}

fn seen(session: &Value) -> String {
    let number = |key: &str| session[key].as_i64().unwrap_or(0);
    format!(
        "{:<7} {:>4}  {} to {}  {} min, {}",
        session["kind"].as_str().unwrap_or_default(),
        number("number"),
        time::local(number("start")),
        time::local(number("end")),
        number("end").saturating_sub(number("start")) / 60,
        if session["open"] == true {
            "open"
        } else {
            "closed"
        },
    )
}

fn moment(at: &Value) -> String {
    at.as_i64().map(time::local).unwrap_or_default()
}
