//! Words and figures as pages show them: one function for each kind, so that screen and export never differ.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    domain::{
        doubt::DoubtKind,
        incident::Kind,
        usage::{self, Due, Fraction, Minutes},
    },
    query::State,
};

/// What stands where there is no figure.
pub(super) const NONE: &str = "—";

/// `2026-11-24 星期二`.
pub(super) fn day(day: Date) -> String {
    format!(
        "{day} 星期{}",
        weekday(day.weekday().to_monday_zero_offset())
    )
}

/// 一 … 日, from 0 for Monday.
pub(super) fn weekday(from_monday: i8) -> &'static str {
    let names = ["一", "二", "三", "四", "五", "六", "日"];
    usize::try_from(from_monday)
        .ok()
        .and_then(|at| names.get(at).copied())
        .unwrap_or(NONE)
}

/// `11月24日`.
pub(super) fn short_day(day: Date) -> String {
    format!("{}月{}日", day.month(), day.day())
}

/// `2026-11-24 14:30`.
pub(super) fn moment(unix: i64, zone: &TimeZone) -> String {
    Timestamp::from_second(unix).map_or_else(
        |_| NONE.to_owned(),
        |at| {
            let at = zone.to_datetime(at);
            format!("{} {:02}:{:02}", at.date(), at.hour(), at.minute())
        },
    )
}

/// A moment, or that there was none.
pub(super) fn heard(unix: Option<i64>, zone: &TimeZone) -> String {
    unix.map_or_else(|| "从未".to_owned(), |at| moment(at, zone))
}

/// A moment without what goes without saying: `14:30` today, `11-23 14:30` this year.
pub(super) fn heard_short(unix: Option<i64>, today: Date, zone: &TimeZone) -> String {
    let said = heard(unix, zone);
    let (day, year) = (format!("{today} "), format!("{:04}-", today.year()));
    let rest = said.strip_prefix(&day).or_else(|| said.strip_prefix(&year));
    rest.map_or_else(|| said.clone(), ToOwned::to_owned)
}

/// `14:30` of a minute of the day.
pub(super) fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// 课时使用率, as the command line shows it.
pub(super) fn rate(minutes: Minutes, due: Due) -> String {
    usage::lesson_rate(minutes, due).map_or_else(|| NONE.to_owned(), percent)
}

/// `73.20%`.
pub(super) fn percent(value: Fraction) -> String {
    format!("{}%", usage::display(value * 100))
}

/// How much more or less than before, `+12.3%`; `None` where there was nothing before.
pub(super) fn change(now: Fraction, before: Fraction) -> Option<String> {
    if before == Fraction::from_integer(0) {
        return None;
    }
    let (sign, gap) = if now >= before {
        ("+", now - before)
    } else {
        ("−", before - now)
    };
    let tenths = usage::hundredths(gap / before * 10);
    Some(format!("{sign}{}.{}%", tenths / 10, tenths % 10))
}

/// A share in whole per cent, 0 to 100, for the width of a bar.
pub(super) fn share(value: Fraction, of: Fraction) -> u32 {
    if of == Fraction::from_integer(0) {
        return 0;
    }
    let share = (value / of * 1_000).to_integer();
    u32::try_from(share.min(1_000)).unwrap_or(1_000)
}

/// What a terminal does.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Silent => "静默",
        State::InUse => "使用中",
        State::On => "开机未用",
        State::Off => "关机",
    }
}

/// The class that colours a state.
pub(super) fn state_class(state: State) -> &'static str {
    match state {
        State::Silent => "s-silent",
        State::InUse => "s-used",
        State::On => "s-on",
        State::Off => "s-off",
    }
}

/// A length of time in seconds, with its sign: a clock that is fast or slow.
pub(super) fn offset(seconds: i64) -> String {
    let way = match seconds {
        0 => return "准确".to_owned(),
        1.. => "快",
        _ => "慢",
    };
    let seconds = seconds.unsigned_abs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{way} {seconds} 秒"),
        (0, 0, minutes) => format!("{way} {minutes} 分钟"),
        (0, hours, minutes) => format!("{way} {hours} 小时 {minutes} 分钟"),
        (days, hours, _) => format!("{way} {days} 天 {hours} 小时"),
    }
}

/// A reason for a refusal, by its key: what happened, and the mend.
pub(super) fn reason(key: &str) -> (&'static str, &'static str) {
    match key {
        "undecodable" => (
            "内容无法识别",
            "检查该终端的程序版本,或自行上报的程序是否按接口格式发送",
        ),
        "too_large" => ("报告过大", "检查自行上报的程序,每份报告不要超过上限"),
        "bad_terminal" => (
            "终端编号不合规",
            "重新注册该终端,编号只用字母、数字、“.”“_”“-”",
        ),
        "topic_mismatch" => (
            "主题与内容的终端编号不一致",
            "检查是否复制了别的终端的配置,重新注册该终端",
        ),
        "bad_boot_id" | "bad_sequence" | "too_many_sessions" | "too_many_signals"
        | "bad_signal" | "unknown_kind" => (
            "报告格式不符合约定",
            "升级该终端的程序;自行上报的请对照接口说明修改",
        ),
        "too_many_unknown" => ("待批准终端已满", "先批准或清理待批准的终端,再在这里重放"),
        "ends_before_start" => ("结束早于开始", "时钟被回拨过:校准时钟,更换主板电池"),
        "too_long" => ("单次使用超过一天", "时钟跳变过:校准时钟,更换主板电池"),
        "in_future" => (
            "时间在未来",
            "该终端时钟快了:校准时钟;核对服务器时间后可重放",
        ),
        "clock_unset" => ("时钟未设置", "主板电池没电:更换主板电池并校准时钟"),
        "unplaced" => ("没有可信的时间", "联网后时钟会校准;之前的使用无法归入日期"),
        "history_used" => ("安装前的使用记录", "安装前无法感知使用,不计入,无需处理"),
        "history_too_old" => ("安装前的记录过早", "不计入,无需处理"),
        "before_service" => (
            "早于启用日期",
            "若启用日期登记晚了:在终端表中改早启用日期并导入,再重放",
        ),
        "after_service" => (
            "晚于停用日期",
            "若终端仍在使用:在终端表中改停用日期并导入,再重放",
        ),
        "no_longer_kept" => ("日期已归档", "该日的合计已定稿,不再接收"),
        "unstorable" => ("数据库拒收", "查看服务日志中的原因,修复后重放"),
        _ => ("其他原因", "查看说明与服务日志"),
    }
}

/// What to do about an incident.
pub(super) fn incident_mend(kind: Kind) -> &'static str {
    match kind {
        Kind::AgentGap => "检查是否有清理软件或管家结束了终端程序,把它加入白名单",
        Kind::AgentStopped => "向学校了解停止原因;需要时收回管理员权限",
        Kind::ClockSet => "确认是谁改了系统时间,打开自动校时",
        Kind::ClockOff => "更换主板电池",
        Kind::ServerRefused => "检查校园网中是否有人冒充服务器,核对地址与证书",
        Kind::JournalLost => "检查磁盘是否已满或只读,还原卡是否保护了数据目录",
        Kind::Unplaced => "校准时钟,更换主板电池",
        Kind::History => "无需处理",
        Kind::SessionUnseen => {
            "程序会自动重新启动感知程序;反复出现的,检查是否有软件结束或冻结 classpulse-agent,把它加入白名单"
        }
        Kind::TwoMachines => "复制过系统盘:在其中一台上重新注册",
        Kind::EnrolledElsewhere => "核对机器现在所在学校,在终端表中登记调拨",
        Kind::MixedHardware => "核对更换过的部件,必要时重新注册",
        Kind::EnrolledAgain => "确认重装或还原过系统;还原卡请把日志放到不还原的分区",
    }
}

/// What to do about a doubt.
pub(super) fn doubt_mend(kind: DoubtKind) -> &'static str {
    match kind {
        DoubtKind::Night => "向学校了解夜间是否有人使用;无人使用的,写明理由后排除这些天",
        DoubtKind::AllDay => "不可能有人全天使用:检查是否循环播放,写明理由后排除这些天",
        DoubtKind::SameDays => "查看是否有定时脚本或循环播放,属实的排除这些天",
        DoubtKind::SharedDays => "查看两台是否复制了系统盘或由同一程序操作,属实的排除其中一台",
        DoubtKind::Full => "向学校核对课表与实际使用;核实无误的不用处理",
        DoubtKind::OverCap => "超出每日上限的部分不计入,核对是否长时间无人值守",
        DoubtKind::TwoMachines => "在其中一台上重新注册;重叠的日子核实后排除",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        let fraction = |numer, denom| Fraction::new(numer, denom);
        assert_eq!(percent(fraction(3, 4)), "75.00%");
        assert_eq!(change(fraction(11, 10), fraction(1, 1)).unwrap(), "+10.0%");
        assert_eq!(change(fraction(2, 3), fraction(1, 1)).unwrap(), "−33.3%");
        assert_eq!(change(fraction(1, 1), fraction(1, 1)).unwrap(), "+0.0%");
        assert_eq!(change(fraction(1, 1), fraction(0, 1)), None);
        assert_eq!(share(fraction(1, 3), fraction(2, 3)), 500);
        assert_eq!(share(fraction(1, 3), fraction(0, 1)), 0);
        for (seconds, said) in [
            (0, "准确"),
            (-45, "慢 45 秒"),
            (130, "快 2 分钟"),
            (-7_260, "慢 2 小时 1 分钟"),
            (180_000, "快 2 天 2 小时"),
        ] {
            assert_eq!(offset(seconds), said);
        }
    }
}
