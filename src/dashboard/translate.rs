//! What other parts say in English for operators, in the Chinese of a page: quarantine details and calendar mistakes.
//!
//! The English texts are kept with what they are about and stand in logs, so pages translate. A text that is not known
//! is shown as it is: better a foreign sentence than none.

use jiff::tz::TimeZone;

use super::text;
use crate::domain::calendar::CalendarError;

/// Every whole number in a text.
fn numbers(text: &str) -> Vec<i64> {
    let parts = text.split(|c: char| !(c.is_ascii_digit() || c == '-'));
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Every date such as 2026-09-01 in a text.
fn dates(text: &str) -> Vec<&str> {
    let parts = text.split([' ', ';', ',']);
    let is = |part: &&str| part.parse::<jiff::civil::Date>().is_ok();
    parts.filter(is).collect()
}

/// What stands behind a quarantine entry, by the reason's key.
pub(super) fn detail(reason: &str, said: &str, zone: &TimeZone) -> String {
    detail_of(reason, said, zone).unwrap_or_else(|| said.to_owned())
}

fn detail_of(reason: &str, said: &str, zone: &TimeZone) -> Option<String> {
    let number = |at: usize| numbers(said).get(at).copied();
    let at = |place: usize| number(place).map(|unix| text::moment(unix, zone));
    let day = |place: usize| dates(said).get(place).copied();
    Some(match reason {
        "undecodable" => {
            let form = said.split(':').next().filter(|form| form.len() < 10)?;
            format!(
                "不是完整的 {form} 报告:{}",
                said.get(form.len() + 1..)?.trim()
            )
        }
        "too_large" => format!("{} 字节,最多 {} 字节", number(0)?, number(1)?),
        "bad_terminal" if said.contains("passing name") => {
            "这是尚未注册的机器的临时编号".to_owned()
        }
        "bad_terminal" => "编号应为 1 到 64 位字母、数字、“.”“_”“-”".to_owned(),
        "topic_mismatch" => {
            let (topic, report) = said
                .strip_prefix("topic says ")?
                .split_once(", report says ")?;
            format!("主题是“{topic}”,报告内写的是“{report}”")
        }
        "bad_boot_id" => format!("开机编号是 {} 字节,应为 16 字节", number(0)?),
        "bad_sequence" => "报告序号是 0,应从 1 起".to_owned(),
        "too_many_sessions" => format!("{} 段时间,最多 {} 段", number(0)?, number(1)?),
        "too_many_signals" => format!("{} 条信号,最多 {} 条", number(0)?, number(1)?),
        "unknown_kind" => format!("不认识的种类 {}", number(0)?),
        "bad_signal" if said.contains("not known") => format!("不认识的信号种类 {}", number(0)?),
        "bad_signal" if said.contains("beyond") => "信号的时间超出日历".to_owned(),
        "bad_signal" => format!("信号的时长 {} 秒,最多 {} 秒", number(0)?, number(1)?),
        "too_many_unknown" => "没有登记过这台终端,而且待批准的名单已满".to_owned(),
        "unplaced" => format!("时钟没有校准,自称 {} 至 {}", at(0)?, at(1)?),
        "ends_before_start" => format!("自称 {} 开始,{} 结束", at(0)?, at(1)?),
        "clock_unset" => format!("自称 {} 开始,早于 2020 年", at(0)?),
        "too_long" => format!("长 {} 秒,最多 {} 秒", number(0)?, number(1)?),
        "in_future" if said.contains("after now") => {
            format!(
                "结束时间比收到时晚 {} 秒,最多允许 {} 秒",
                number(0)?,
                number(1)?
            )
        }
        "in_future" => "时间超出日历".to_owned(),
        "no_longer_kept" => format!("{},该日合计已定稿,{} 起的才接收", day(0)?, day(1)?),
        "history_used" => "安装之前没有感知过使用".to_owned(),
        "history_too_old" => format!("{} 天以前,最多 {} 天", number(0)?, number(1)?),
        "before_service" => format!("{} 的使用,登记从 {} 起启用", day(0)?, day(1)?),
        "after_service" => format!("{} 的使用,当天不在启用期内", day(0)?),
        _ => return None,
    })
}

/// A mistake in a calendar.
pub(super) struct Said {
    /// Where and what, in Chinese.
    pub(super) sentence: String,
    /// The lines of the calendar around it, where the mistake is one of writing.
    pub(super) excerpt: Option<String>,
}

/// A calendar's mistake in Chinese.
pub(super) fn calendar(error: &CalendarError) -> Said {
    match error {
        CalendarError::Format(said) => format(said),
        CalendarError::Value { place, problem } => Said {
            sentence: format!("{}:{}。", place_of(place), problem_of(problem)),
            excerpt: None,
        },
    }
}

/// `[[term]] 2 (秋)` → 第 2 个学期 [[term]](秋).
fn place_of(place: &str) -> String {
    let name = |heading: &str| match heading {
        "[[term]]" => "学期",
        "[[holiday]]" => "假期",
        "[[makeup]]" => "调休补课",
        "[[timetable]]" => "作息表",
        "[policy]" => "计时规则",
        _ => "",
    };
    let (heading, rest) = place.split_once(' ').unwrap_or((place, ""));
    let (number, of) = rest.split_once(' ').unwrap_or((rest, ""));
    if number.parse::<u32>().is_ok() {
        format!("第 {number} 个{} {heading}{of}", name(heading))
    } else {
        format!("{} {heading} {rest}", name(heading))
            .trim()
            .to_owned()
    }
}

fn problem_of(problem: &str) -> String {
    let quoted = || problem.split('"').nth(1).unwrap_or_default();
    for (known, chinese) in [
        ("must be 1 to 120", "应为 1 到 120"),
        ("must be 1 to 1440", "应为 1 到 1440"),
        ("a holiday lasts at most a year", "假期最长一年"),
        ("last lies before first", "结束日期早于开始日期"),
        ("at least one term is needed", "至少要有一个学期"),
        ("at least one timetable is needed", "至少要有一张作息表"),
        ("the date stands twice", "这个日期写了两次"),
        ("the same days stand there already", "同样的日期已经有了"),
        ("no such days stand there", "没有这样的日期:可能已被删除"),
        ("a day has at most 24 lessons", "一天最多 24 节课"),
        ("a lesson lies outside the hours", "有课节在作息时间之外"),
    ] {
        if problem == known {
            return chinese.to_owned();
        }
    }
    if let Some(other) = problem.strip_prefix("overlaps with ") {
        return format!("与{}的日期重叠", place_of(other));
    }
    if problem.contains("is no date between") {
        let key = problem.split(' ').next().unwrap_or_default();
        return format!(
            "{key} 写的是“{}”,应为 2000 至 2100 年的日期,如 \"2026-09-01\"",
            quoted()
        );
    }
    if problem.contains("is no weekday") {
        return format!("“{}”不是星期:应写 monday、tuesday 至 sunday", quoted());
    }
    if let Some(lesson) = problem.strip_prefix("lesson ") {
        let lesson = lesson.split(' ').next().unwrap_or_default();
        return format!("课节 {lesson} 与前面的课节重叠");
    }
    if problem.contains("is no span of the day") {
        return format!("“{}”不是时段,应写成 \"08:00-08:40\"", quoted());
    }
    if let Some(stage) = problem.strip_suffix(" has another timetable on the same weekday") {
        return format!("{stage}在同一个星期几另有作息表");
    }
    if problem.starts_with("needs hours") {
        return "要写 hours = [\"08:00-11:30\", …] 或 lessons = [\"08:00-08:40\", …]".to_owned();
    }
    if problem.contains("学段") || problem.contains("小学") {
        return format!("“{}”不是学段,可写:小学、初中、高中等(见示例)", quoted());
    }
    problem.to_owned()
}

/// A mistake of writing: line, column, what, and the lines around it.
fn format(said: &str) -> Said {
    let place = numbers(said.lines().next().unwrap_or_default());
    let place = match place[..] {
        [line, column, ..] => format!("第 {line} 行第 {column} 列"),
        _ => "某处".to_owned(),
    };
    let words = said.lines().rev().find(|line| !line.trim().is_empty());
    let words = words.unwrap_or_default();
    let ticked = words.split('`').nth(1).unwrap_or_default();
    let what = if words.starts_with("unknown field") {
        format!("不认识的键“{ticked}”,请对照示例检查拼写")
    } else if words.starts_with("missing field") {
        format!("缺少“{ticked}”")
    } else if words.starts_with("duplicate key") || words.starts_with("duplicate field") {
        format!("“{ticked}”写了两次")
    } else if words.starts_with("invalid type") {
        "值的种类不对:日期和时段要加双引号,数字不加".to_owned()
    } else {
        "写法不合 TOML 格式,请检查引号、等号、方括号是否成对".to_owned()
    };
    // The excerpt is the bureau's own text between the heading and the words.
    let excerpt: Vec<&str> = said.lines().filter(|line| line.contains('|')).collect();
    Said {
        sentence: format!("{place}:{what}。"),
        excerpt: (!excerpt.is_empty()).then(|| excerpt.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::Calendar;

    #[test]
    fn details_are_told_in_chinese_with_their_figures() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        for (reason, said, expected) in [
            (
                "too_large",
                "70000 bytes, at most 65536",
                "70000 字节,最多 65536 字节",
            ),
            (
                "in_future",
                "ends 900 s after now, at most 300",
                "结束时间比收到时晚 900 秒,最多允许 300 秒",
            ),
            (
                "ends_before_start",
                "starts at 1788220800, ends at 1788220740",
                "自称 2026-09-01 08:00 开始,2026-09-01 07:59 结束",
            ),
            (
                "before_service",
                "on 2026-08-31, in service from 2026-09-01",
                "2026-08-31 的使用,登记从 2026-09-01 起启用",
            ),
            (
                "no_longer_kept",
                "on 2025-01-01, whose sums are final; minutes are kept from 2025-09-01 on",
                "2025-01-01,该日合计已定稿,2025-09-01 起的才接收",
            ),
            (
                "topic_mismatch",
                "topic says a-1, report says b-2",
                "主题是“a-1”,报告内写的是“b-2”",
            ),
            (
                "before_service",
                "20 minutes before service",
                "20 minutes before service",
            ),
            ("unstorable", "value too long", "value too long"),
        ] {
            assert_eq!(detail(reason, said, &zone), expected);
        }
    }

    #[test]
    fn a_calendars_mistakes_are_told_in_chinese() {
        let term = "[[term]]\nname = \"秋\"\nfirst = \"2026-09-01\"\nlast = \"2027-01-15\"\n";
        let table = "[[timetable]]\nlessons = [\"08:00-08:40\"]\n";
        for (text, expected) in [
            (format!("name = \"a\"\n{table}"), "至少要有一个学期"),
            (format!("name = \"a\"\n{term}{term}{table}"), "日期重叠"),
            (format!("name = \"a\"\n{term}"), "至少要有一张作息表"),
            (
                format!("name = \"a\"\n{term}[[timetable]]\nlessons = [\"8点\"]\n"),
                "“8点”不是时段",
            ),
            (
                format!("name = \"a\"\n{term}{table}weekdays = [\"周一\"]\n"),
                "“周一”不是星期",
            ),
            (
                format!("name = \"a\"\n{term}{table}wekdays = [\"monday\"]\n"),
                "不认识的键“wekdays”",
            ),
            (format!("name = a\n{term}{table}"), "第 1 行第 8 列"),
            (
                format!(
                    "name = \"a\"\n{}{table}",
                    term.replace("2026-09-01", "9月1日")
                ),
                "应为 2000 至 2100 年的日期",
            ),
        ] {
            let error = Calendar::parse(&text).unwrap_err();
            let said = calendar(&error).sentence;
            assert!(said.contains(expected), "{said} ({error})");
        }
    }
}
