//! Incidents: what a bureau should look at beside minutes, and how it reads in Chinese.
//!
//! Facts without judgement of who or why. Not responsible for finding them (ingest, `boots`, the store's enrolment) or
//! for keeping them (store).

use std::{fmt, str::FromStr};

use classpulse_proto::v1::SignalKind;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::ids::TerminalId;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The machine was on and the agent did not run.
    AgentGap,
    /// The same after it was told to stop.
    AgentStopped,
    /// The system's clock was set; seconds by how much, below zero for back.
    ClockSet,
    /// The hardware clock was off when the machine was switched on.
    ClockOff,
    /// Something else answered in the server's place.
    ServerRefused,
    /// The journal could not be written.
    JournalLost,
    /// Sessions of an earlier boot can't be placed in time.
    Unplaced,
    /// Power-on times from before the installation were read.
    History,
    /// Somebody was logged on, and nothing was seen in that session; seconds for how long already.
    SessionUnseen,
    /// Two boots were alive at once under one identity.
    TwoMachines,
    /// A machine that is known enrolled with a code of a school in which the registry does not see it.
    EnrolledElsewhere,
    /// A machine that enrolled has marks of two terminals; it got the id of the one that it is more like.
    MixedHardware,
    /// A machine that is known enrolled again and got a new key: its disk was restored, or somebody pretends to be it.
    EnrolledAgain,
}

/// A text that is no kind of incident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of incident")]
pub struct UnknownKind(String);

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::AgentGap,
        Self::AgentStopped,
        Self::ClockSet,
        Self::ClockOff,
        Self::ServerRefused,
        Self::JournalLost,
        Self::Unplaced,
        Self::History,
        Self::SessionUnseen,
        Self::TwoMachines,
        Self::EnrolledElsewhere,
        Self::MixedHardware,
        Self::EnrolledAgain,
    ];

    /// The stable key that is stored and shown to programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::AgentGap => "agent_gap",
            Self::AgentStopped => "agent_stopped",
            Self::ClockSet => "clock_set",
            Self::ClockOff => "clock_off",
            Self::ServerRefused => "server_refused",
            Self::JournalLost => "journal_lost",
            Self::Unplaced => "unplaced",
            Self::History => "history",
            Self::SessionUnseen => "session_unseen",
            Self::TwoMachines => "two_machines",
            Self::EnrolledElsewhere => "enrolled_elsewhere",
            Self::MixedHardware => "mixed_hardware",
            Self::EnrolledAgain => "enrolled_again",
        }
    }

    /// What a terminal's signal stands for; `None` for one that this service does not know.
    #[must_use]
    pub const fn of_signal(signal: SignalKind) -> Option<Self> {
        Some(match signal {
            SignalKind::Unspecified => return None,
            SignalKind::AgentGap => Self::AgentGap,
            SignalKind::AgentStopped => Self::AgentStopped,
            SignalKind::ClockSet => Self::ClockSet,
            SignalKind::ClockOff => Self::ClockOff,
            SignalKind::ServerRefused => Self::ServerRefused,
            SignalKind::JournalLost => Self::JournalLost,
            SignalKind::Unplaced => Self::Unplaced,
            SignalKind::History => Self::History,
            SignalKind::SessionUnseen => Self::SessionUnseen,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.key() == text)
            .ok_or_else(|| UnknownKind(text.chars().take(40).collect()))
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.key())
    }
}

impl<'de> serde::Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One incident. The same terminal, boot, kind and number is the same incident, however often it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Whose.
    pub terminal: TerminalId,
    /// The boot that told it; zeros for what the service found itself.
    pub boot_id: [u8; 16],
    /// What happened.
    pub kind: Kind,
    /// Tells incidents of one boot and kind apart; for what the service found itself, the day or moment.
    pub number: u32,
    /// When it happened, Unix seconds as far as the terminal knew.
    pub at: i64,
    /// How long it lasted, or by how much a clock was off.
    pub seconds: i64,
    /// When the service heard of it, Unix seconds.
    pub received_at: i64,
}

impl Incident {
    /// That two machines speak under one identity: told once a day of UTC, which turns at eight in the Chinese morning.
    #[must_use]
    pub fn two_machines(terminal: TerminalId, at: i64) -> Self {
        Self::once_a_day(terminal, Kind::TwoMachines, at)
    }

    /// That a known machine got a new key, as often a day as it may: a card may restore its disk at every boot.
    #[must_use]
    pub fn enrolled_again(terminal: TerminalId, at: i64) -> Self {
        Self::once_a_day(terminal, Kind::EnrolledAgain, at)
    }

    fn once_a_day(terminal: TerminalId, kind: Kind, at: i64) -> Self {
        let day = u32::try_from(at.div_euclid(86_400)).unwrap_or(0);
        Self::found(terminal, kind, day, at)
    }

    /// What the service found itself.
    #[must_use]
    pub fn found(terminal: TerminalId, kind: Kind, number: u32, at: i64) -> Self {
        Self {
            terminal,
            boot_id: [0; 16],
            kind,
            number,
            at,
            seconds: 0,
            received_at: at,
        }
    }

    /// The incident in a Chinese sentence, in the deployment's local time.
    #[must_use]
    pub fn sentence(&self, zone: &TimeZone) -> String {
        let (at, long) = (moment(self.at, zone), length(self.seconds));
        match self.kind {
            Kind::AgentGap => {
                let span = self.span(zone);
                format!("终端程序被中断 {long}({span}),其间机器开着")
            }
            Kind::AgentStopped => {
                let span = self.span(zone);
                format!("终端程序被人为停止 {long}({span}),其间机器开着")
            }
            Kind::ClockSet => {
                let way = if self.seconds < 0 { "回拨" } else { "拨快" };
                format!("系统时钟在 {at} 被{way} {long}")
            }
            Kind::ClockOff => {
                let way = if self.seconds < 0 { "慢" } else { "快" };
                format!("开机时主板时钟{way} {long}({at}):可能需要更换主板电池")
            }
            Kind::ServerRefused => {
                format!("{at} 有其他设备冒充服务器应答(证书不符或地址被改),终端已拒绝连接")
            }
            Kind::JournalLost => {
                format!("{at} 起终端无法写入日志文件,持续 {long},其间的记录只在内存中")
            }
            Kind::Unplaced => {
                format!("此前一次开机没有可信的时间,{long}的使用无法归入日期({at} 上报)")
            }
            Kind::History => format!("已读入安装前的开机记录,共 {long}"),
            Kind::SessionUnseen => {
                format!(
                    "有人登录期间,桌面感知程序已 {long}没有应答({at} 上报):可能被结束或冻结,其间的使用可能没有记录"
                )
            }
            Kind::TwoMachines => {
                format!("两台机器在用同一个终端编号上报({at} 发现):可能复制了系统盘,请核对")
            }
            Kind::EnrolledElsewhere => {
                format!("这台机器在 {at} 用另一所学校的注册码注册,登记未变:请核对它现在在哪里")
            }
            Kind::MixedHardware => {
                format!("{at} 注册的机器同时带有两台终端的部件,已按较像的一台处理:请核对")
            }
            Kind::EnrolledAgain => {
                format!("{at} 这台终端重新注册并换了密钥:如果没有重装或还原过系统,请核对")
            }
        }
    }

    /// `09:31–09:43`, with dates where it goes over midnight.
    fn span(&self, zone: &TimeZone) -> String {
        let end = self.at.saturating_add(self.seconds);
        match (local(self.at, zone), local(end, zone)) {
            (Some(from), Some(to)) if from.date() == to.date() => {
                format!("{} {}–{}", from.date(), clock(from), clock(to))
            }
            _ => format!("{}–{}", moment(self.at, zone), moment(end, zone)),
        }
    }
}

fn local(unix: i64, zone: &TimeZone) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_second(unix).ok()?))
}

fn clock(at: DateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// `2026-09-01 09:31`.
fn moment(unix: i64, zone: &TimeZone) -> String {
    local(unix, zone).map_or_else(
        || unix.to_string(),
        |at| format!("{} {}", at.date(), clock(at)),
    )
}

/// A length of time in its two largest units.
fn length(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} 秒"),
        (0, 0, _) => format!("{minutes} 分钟"),
        (0, _, 0) => format!("{hours} 小时"),
        (0, ..) => format!("{hours} 小时 {minutes} 分钟"),
        (_, 0, _) => format!("{days} 天"),
        _ => format!("{days} 天 {hours} 小时"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(kind: Kind, seconds: i64) -> Incident {
        Incident {
            seconds,
            // 2026-09-01T09:31:00+08:00
            ..Incident::found("t".parse().unwrap(), kind, 1, 1_788_226_260)
        }
    }

    #[test]
    fn keys_are_read_back_and_every_signal_has_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(kind.key().parse(), Ok(kind));
        }
        assert!("".parse::<Kind>().is_err());
        for number in 1..=9 {
            let kind = Kind::of_signal(SignalKind::try_from(number).unwrap()).unwrap();
            let name = SignalKind::try_from(number).unwrap().as_str_name();
            assert_eq!(name, format!("SIGNAL_KIND_{}", kind.key().to_uppercase()));
        }
        assert_eq!(Kind::of_signal(SignalKind::Unspecified), None);
    }

    #[test]
    fn sentences_say_what_happened_when_and_for_how_long() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let said = |kind, seconds| incident(kind, seconds).sentence(&zone);
        for (kind, seconds, expected) in [
            (
                Kind::AgentGap,
                12 * 60,
                "终端程序被中断 12 分钟(2026-09-01 09:31–09:43),其间机器开着",
            ),
            (
                Kind::AgentStopped,
                20 * 3_600 + 59,
                "终端程序被人为停止 20 小时(2026-09-01 09:31–2026-09-02 05:31),其间机器开着",
            ),
            (
                Kind::ClockSet,
                -90_000,
                "系统时钟在 2026-09-01 09:31 被回拨 1 天 1 小时",
            ),
            (
                Kind::ClockOff,
                45,
                "开机时主板时钟快 45 秒(2026-09-01 09:31):可能需要更换主板电池",
            ),
            (
                Kind::History,
                400 * 86_400,
                "已读入安装前的开机记录,共 400 天",
            ),
            (
                Kind::SessionUnseen,
                300,
                "有人登录期间,桌面感知程序已 5 分钟没有应答(2026-09-01 09:31 上报):可能被结束或冻结,其间的使用可能没有记录",
            ),
        ] {
            assert_eq!(said(kind, seconds), expected);
        }
        for kind in Kind::ALL {
            assert!(!said(kind, 3_660).is_empty());
            let mut beyond = incident(kind, i64::MAX);
            beyond.at = i64::MAX;
            assert!(!beyond.sentence(&zone).is_empty(), "{kind}");
        }
    }

    #[test]
    fn what_recurs_is_one_incident_a_day() {
        let at = |at| Incident::two_machines("t".parse().unwrap(), at).number;
        assert_eq!(at(1_788_226_260), at(1_788_226_260 + 3_600));
        assert_ne!(at(1_788_226_260), at(1_788_226_260 + 86_400));
        let again = Incident::enrolled_again("t".parse().unwrap(), 1_788_226_260);
        assert_eq!(
            (again.kind, again.number),
            (Kind::EnrolledAgain, at(1_788_226_260))
        );
    }
}
