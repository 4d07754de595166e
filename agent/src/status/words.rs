//! The same for people: one line for each thing that they may ask, Chinese first and English beside it.

use std::fmt::Write as _;

use serde_json::Value;

use super::time::Zone;

/// Sessions listed at most; a term offline has thousands.
const MOST_SESSIONS: usize = 20;
/// Columns of a line's name.
const NAME: usize = 22;

/// What [`super::ask`] answered, in words. Times are the county's.
#[must_use]
pub fn words(status: &Value) -> String {
    let minutes = status["utc_offset_minutes"].as_i64().unwrap_or(0);
    let page = Page {
        status,
        agent: &status["agent"],
        zone: Zone {
            utc_offset: minutes * 60,
        },
    };
    let mut text = String::new();
    for (name, value) in page.lines() {
        // A string takes everything.
        let _ = writeln!(text, "{} {value}", padded(name, NAME));
    }
    text
}

/// Chinese characters take two columns.
fn padded(name: &str, columns: usize) -> String {
    let wide = |character: char| if character.is_ascii() { 1 } else { 2 };
    let taken: usize = name.chars().map(wide).sum();
    format!("{name}{}", " ".repeat(columns.saturating_sub(taken)))
}

struct Page<'a> {
    status: &'a Value,
    agent: &'a Value,
    zone: Zone,
}

impl Page<'_> {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("程序 agent", self.running()),
            ("终端 terminal", self.terminal()),
            ("服务器 server", self.server()),
        ];
        let error = &self.agent["last_error"];
        if let Some(what) = error["what"].as_str() {
            let at = self.moment(&error["at"]);
            lines.push(("最近错误 last error", format!("{at} {what}")));
        }
        let answer = match self.status["last_ack"].as_i64() {
            Some(at) => self.zone.local(at),
            None => "从未 / never".to_owned(),
        };
        lines.push(("最近确认 last answer", answer));
        if self.agent.is_object() {
            lines.push(("时钟 clock", clock(&self.agent["clock"])));
            lines.push(("今天 today", today(&self.agent["today"])));
            for source in self.agent["sensing"].as_array().into_iter().flatten() {
                let name = source["source"].as_str().unwrap_or_default();
                let text = format!("{} {}", padded(source_name(name), 21), sight(source));
                lines.push(("感知 senses", text));
            }
        }
        lines.push(("本地记录 journal", self.journal()));
        for found in self.agent["journal"]["found"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let found = found.as_str().unwrap_or_default();
            lines.push(("启动时发现 at start", found.to_owned()));
        }
        let (heartbeat, idle) = (
            &self.status["heartbeat_seconds"],
            &self.status["idle_seconds"],
        );
        let settings = format!(
            "每 {heartbeat} 秒上报,{idle} 秒无操作即停止计时 / a report every {heartbeat} s, use ends after {idle} s without input"
        );
        lines.push(("设置 settings", settings));
        self.waiting(&mut lines);
        lines
    }

    fn running(&self) -> String {
        match self.agent["running_since"].as_i64() {
            Some(since) => format!("运行中,自 / running since {}", self.zone.local(since)),
            None => "没有运行,以下出自本地文件 / not running; what follows is what its files say"
                .to_owned(),
        }
    }

    fn terminal(&self) -> String {
        let school = self.status["school"].as_str().unwrap_or_default();
        match self.status["terminal"].as_str() {
            Some(terminal) => format!("{terminal} {school}").trim_end().to_owned(),
            None => "未注册 / not enrolled".to_owned(),
        }
    }

    fn server(&self) -> String {
        let address = self.status["server"].as_str().unwrap_or_default();
        let tls = if self.status["tls"] == true {
            "TLS"
        } else {
            "未加密 / plain text"
        };
        let connection = &self.agent["connection"];
        let state = match connection["state"].as_str() {
            None => return format!("{address} ({tls})"),
            Some("waiting") => "尚未连接 / not connected yet",
            Some("up") => "已连接 / connected",
            Some("down") => "无法连接 / no connection",
            Some("impostor") => "服务器身份不符 / refused: something else answers in its place",
            Some("denied") => "服务器拒绝本机密钥 / it refuses this terminal's key",
            Some("not_enrolled") => "本机未注册 / this machine is not enrolled",
            Some(other) => other,
        };
        let since = self.moment(&connection["since"]);
        format!("{address} ({tls}): {state},自 / since {since}")
    }

    fn journal(&self) -> String {
        let path = self.status["journal"].as_str().unwrap_or_default();
        let written = &self.agent["journal"];
        let size = match self.status["journal_bytes"].as_u64() {
            Some(bytes) => format!("{bytes} 字节 bytes"),
            None => "此处看不到 / not to be seen from here".to_owned(),
        };
        let when = match (written["trouble"].as_str(), written["written"].as_i64()) {
            (Some(trouble), _) => {
                format!(",无法写入,只在内存中 / NOT WRITTEN, kept in memory only: {trouble}")
            }
            (None, Some(at)) => format!(",写于 / written {}", self.zone.local(at)),
            (None, None) => String::new(),
        };
        format!("{path} ({size}){when}")
    }

    fn waiting(&self, lines: &mut Vec<(&'static str, String)>) {
        let waiting = self.status["waiting"].as_array();
        let waiting = waiting.map(Vec::as_slice).unwrap_or_default();
        let count = waiting.len();
        lines.push((
            "待确认 waiting",
            format!("{count} 段未确认 / {count} sessions without an acknowledgement"),
        ));
        let skipped = count.saturating_sub(MOST_SESSIONS);
        if skipped > 0 {
            let text = format!("较早的 {skipped} 段未列出 / {skipped} older ones are not listed");
            lines.push(("", text));
        }
        lines.extend(
            waiting[skipped..]
                .iter()
                .map(|session| ("", self.session(session))),
        );
    }

    fn session(&self, session: &Value) -> String {
        let number = |key: &str| session[key].as_i64().unwrap_or(0);
        let kind = match session["kind"].as_str() {
            Some("powered") => "开机 powered",
            Some("used") => "使用 used",
            other => other.unwrap_or_default(),
        };
        format!(
            "{} {:>4}  {} – {}  {} 分钟 min, {}",
            padded(kind, 12),
            number("number"),
            self.zone.local(number("start")),
            self.zone.local(number("end")),
            number("end").saturating_sub(number("start")) / 60,
            if session["open"] == true {
                "进行中 open"
            } else {
                "已结束 closed"
            },
        )
    }

    fn moment(&self, at: &Value) -> String {
        at.as_i64()
            .map(|at| self.zone.local(at))
            .unwrap_or_default()
    }
}

fn clock(clock: &Value) -> String {
    let off = clock["system_off_seconds"].as_i64().unwrap_or(0);
    let by = off.unsigned_abs();
    match (clock["trusted"] == true, off) {
        (false, _) => "时间未校准,记录等待 / nobody vouches for it yet; sessions wait".to_owned(),
        (true, 0) => "准确 / right".to_owned(),
        (true, 1..) => {
            format!("已知,系统时钟快 {by} 秒 / known; the system's clock is {by} s ahead")
        }
        (true, _) => {
            format!("已知,系统时钟慢 {by} 秒 / known; the system's clock is {by} s behind")
        }
    }
}

fn today(today: &Value) -> String {
    let text = |key: &str| today[key].as_str().unwrap_or_default();
    let (powered, used) = (&today["powered_minutes"], &today["used_minutes"]);
    format!(
        "{} ({}): 开机 {powered} 分钟,使用 {used} 分钟,按本机记录 / {powered} min powered, {used} min used, by this agent's sessions",
        text("day"),
        text("zone"),
    )
}

/// What a source is, beside its name in the configuration.
fn source_name(source: &str) -> &str {
    match source {
        "evdev" => "输入设备 evdev",
        "tty" => "字符终端 tty",
        "alsa" => "声音 alsa",
        "session" => "桌面助手 session",
        "logind" => "登录服务 logind",
        "display" => "屏幕常亮 display",
        other => other,
    }
}

fn sight(source: &Value) -> String {
    let english = source["words"].as_str().unwrap_or_default();
    if source["there"] != true {
        return format!("本机没有 / {english}");
    }
    let input = source["input_seconds_ago"].as_i64();
    let mut chinese: Vec<String> = Vec::new();
    chinese.extend(input.map(|ago| format!("{ago} 秒前有操作")));
    chinese.extend((source["playing"] == true).then(|| "正在放音".to_owned()));
    chinese.extend((source["presenting"] == true).then(|| "正在演示".to_owned()));
    if chinese.is_empty() {
        chinese.push("无".to_owned());
    }
    format!("{} / {english}", chinese.join("、"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_technician_reads_it_in_chinese_with_english_beside() {
        let status = json!({
            "terminal": "2123000001-0001", "school": "奇克镇第一小学",
            "server": "10.1.2.3:8883", "tls": true, "utc_offset_minutes": 480,
            "journal": "/var/lib/classpulse-agent/journal", "journal_bytes": 128,
            "heartbeat_seconds": 60, "idle_seconds": 300, "last_ack": 1_788_220_800,
            "waiting": [
                { "kind": "used", "number": 3, "start": 1_788_220_800, "end": 1_788_221_520, "open": true },
            ],
            "agent": {
                "running_since": 1_788_220_800,
                "connection": { "state": "up", "since": 1_788_220_860 },
                "clock": { "trusted": true, "system_off_seconds": -3 },
                "today": { "day": "2026-09-01", "zone": "UTC+8", "powered_minutes": 95, "used_minutes": 12 },
                "sensing": [
                    { "source": "evdev", "there": true, "input_seconds_ago": 12, "words": "last input 12 s ago (2)" },
                    { "source": "alsa", "there": false, "words": "missing" },
                ],
                "journal": {
                    "written": 1_788_220_875, "trouble": null,
                    "found": ["journal: can't be read; kept as journal.unread: denied"],
                },
            },
        });
        let page = words(&status);
        for line in [
            "程序 agent             运行中,自 / running since 2026-09-01 08:00:00\n",
            "终端 terminal          2123000001-0001 奇克镇第一小学\n",
            "服务器 server          10.1.2.3:8883 (TLS): 已连接 / connected,自 / since 2026-09-01 08:01:00\n",
            "时钟 clock             已知,系统时钟慢 3 秒 / known; the system's clock is 3 s behind\n",
            "今天 today             2026-09-01 (UTC+8): 开机 95 分钟,使用 12 分钟,",
            "输入设备 evdev        12 秒前有操作 / last input 12 s ago (2)\n",
            "声音 alsa             本机没有 / missing\n",
            "启动时发现 at start    journal: can't be read; kept as journal.unread: denied\n",
            "待确认 waiting         1 段未确认 / 1 sessions without an acknowledgement\n",
            "使用 used       3  2026-09-01 08:00:00 – 2026-09-01 08:12:00  12 分钟 min, 进行中 open\n",
        ] {
            assert!(page.contains(line), "{line:?} in\n{page}");
        }
        // Every line has its Chinese name.
        for line in page.lines() {
            let name: String = line.chars().take_while(|one| !one.is_ascii()).collect();
            assert!(!name.is_empty() || line.starts_with(' '), "{line}");
        }
        // Without an agent its files speak, also for a machine that is none yet.
        let page = words(&json!({ "server": "127.0.0.1:1883", "agent": null }));
        assert!(
            page.contains("没有运行") && page.contains("未注册 / not enrolled"),
            "{page}"
        );
    }
}
