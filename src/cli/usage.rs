//! `usage` and `score`: the figures, as tables or JSON. Headings are Chinese: bureaus read them.
//!
//! Not responsible for the figures (`query`).

use serde_json::json;

use super::{
    Failure, Opened,
    args::{PeriodArgs, UsageArgs},
    output::{self, print, table},
};
use crate::{
    domain::{
        ids::{SchoolCode, TerminalId},
        minutes::MinuteSet,
        monitoring::points_hundredths,
        usage::{Fraction, Period, display, lesson_rate},
    },
    query::{self, Asked, Resolved, SchoolFilter},
};

pub(super) async fn usage(at: &Opened, arguments: &UsageArgs) -> Result<(), Failure> {
    query::freshen(at.store.as_ref(), |_| ()).await?;
    if let Some(terminal) = &arguments.terminal {
        return terminal_day(at, terminal, arguments.day.unwrap_or_else(|| at.today())).await;
    }
    if let Some(school) = &arguments.school {
        return terminals(at, school, &arguments.period).await;
    }
    let asked = resolve(at, &arguments.period).await?;
    let filter = SchoolFilter {
        stage: arguments.stage,
        township: arguments.township.clone(),
    };
    let schools =
        query::school_usage(at.store.as_ref(), &asked.county, asked.period, &filter).await?;
    if at.json {
        let schools: Vec<_> = schools
            .iter()
            .map(|one| {
                json!({
                    "school": one.school, "minutes": one.minutes, "due": one.due, "average": fraction(one.average),
                    "average_display": display(one.average), "terminals": one.terminals,
                    "reporting_terminals": one.reporting_terminals,
                })
            })
            .collect();
        return output::json(
            &json!({ "county": asked.county, "period": asked.period, "schools": schools }),
        );
    }
    print(&heading(&asked));
    let mut rows = table(
        &[
            "学校标识码",
            "学校",
            "学段",
            "乡镇",
            "终端",
            "有报告",
            "计入分钟",
            "应计台·日",
            "平均(分钟/台·日)",
            "课时使用率",
            "开机分钟",
            "使用分钟",
        ],
        4,
    );
    for one in &schools {
        rows.add_row([
            one.school.code.to_string(),
            one.school.name.clone(),
            one.school.stage.to_string(),
            one.school.township.clone(),
            one.terminals.to_string(),
            one.reporting_terminals.to_string(),
            one.minutes.counted.to_string(),
            one.due.service_days.to_string(),
            display(one.average),
            lesson_rate(one.minutes, one.due).map_or("—".to_owned(), percent),
            one.minutes.powered.to_string(),
            one.minutes.used.to_string(),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

async fn terminals(at: &Opened, school: &SchoolCode, period: &PeriodArgs) -> Result<(), Failure> {
    let school = query::school(at.store.as_ref(), school).await?;
    let period = PeriodArgs {
        county: Some(school.county.clone()),
        ..period.clone()
    };
    let asked = resolve(at, &period).await?;
    let terminals = query::terminal_usage(at.store.as_ref(), &school.code, asked.period).await?;
    if at.json {
        let terminals: Vec<_> = terminals
            .iter()
            .map(|one| {
                json!({
                    "terminal": one.terminal, "room": one.room, "minutes": one.minutes, "due": one.due,
                    "last_seen": one.last_seen,
                })
            })
            .collect();
        return output::json(
            &json!({ "school": school, "period": asked.period, "terminals": terminals }),
        );
    }
    print(&format!(
        "{} {}  {}",
        school.code,
        school.name,
        heading(&asked)
    ));
    let mut rows = table(
        &[
            "终端",
            "教室",
            "最近",
            "有报告天数",
            "计入分钟",
            "应计天数",
            "开机分钟",
            "使用分钟",
        ],
        3,
    );
    for one in &terminals {
        rows.add_row([
            one.terminal.to_string(),
            one.room.clone(),
            if one.last_seen == 0 {
                "从未".to_owned()
            } else {
                at.local(one.last_seen)
            },
            one.minutes.reporting.to_string(),
            one.minutes.counted.to_string(),
            one.due.service_days.to_string(),
            one.minutes.powered.to_string(),
            one.minutes.used.to_string(),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

async fn terminal_day(
    at: &Opened,
    terminal: &TerminalId,
    day: jiff::civil::Date,
) -> Result<(), Failure> {
    let found = query::terminal_day(at.store.as_ref(), terminal, day).await?;
    let runs =
        |set: &MinuteSet| -> Vec<String> { set.runs().iter().map(ToString::to_string).collect() };
    if at.json {
        return output::json(&json!({
            "terminal": found.terminal, "day": found.day, "placement": found.placement,
            "powered_minutes": found.minutes.powered.count(), "powered": runs(&found.minutes.powered),
            "used_minutes": found.minutes.used.count(), "used": runs(&found.minutes.used),
            "teaching": runs(&found.teaching), "counted_minutes": found.counted,
            "last_seen": found.minutes.last_seen,
        }));
    }
    print(&format!("{terminal}  {day}  计入 {} 分钟", found.counted));
    for (name, set) in [
        ("开机", found.minutes.powered),
        ("使用", found.minutes.used),
        ("教学", found.teaching),
    ] {
        print(&format!(
            "{name} {:>5} 分钟  {}",
            set.count(),
            runs(&set).join(" ")
        ));
    }
    Ok(())
}

pub(super) async fn score(at: &Opened, arguments: &PeriodArgs) -> Result<(), Failure> {
    query::freshen(at.store.as_ref(), |_| ()).await?;
    let asked = resolve(at, arguments).await?;
    let scores = query::monitoring_scores(at.store.as_ref(), &asked.county, asked.period).await?;
    if at.json {
        let schools: Vec<_> = scores
            .schools
            .iter()
            .map(|one| {
                json!({
                    "school": one.school, "average": fraction(one.score.average), "points": fraction(one.score.points),
                    "points_hundredths": points_hundredths(one.score.points), "points_display": display(one.score.points),
                    "stage_points_display": display(one.score.stage_points), "reason": one.score.reason,
                })
            })
            .collect();
        return output::json(&json!({
            "county": asked.county, "period": asked.period, "highest_average": fraction(scores.highest),
            "highest_schools": scores.highest_schools, "schools": schools,
        }));
    }
    print(&heading(&asked));
    let mut rows = table(
        &[
            "学校标识码",
            "学校",
            "学段",
            "平均(分钟/台·日)",
            "后台监测(15分)",
            "同学段参考",
        ],
        3,
    );
    for one in &scores.schools {
        rows.add_row([
            one.school.code.to_string(),
            one.school.name.clone(),
            one.school.stage.to_string(),
            display(one.score.average),
            display(one.score.points),
            display(one.score.stage_points),
        ]);
    }
    print(&rows.to_string());
    for one in &scores.schools {
        print(&format!("{}:{}", one.school.name, one.score.reason));
    }
    Ok(())
}

async fn resolve(at: &Opened, arguments: &PeriodArgs) -> Result<Resolved, Failure> {
    let period = match (arguments.from, arguments.to) {
        (Some(first), Some(last)) => Some(Period { first, last }),
        _ => None,
    };
    let asked = Asked {
        county: arguments.county.clone(),
        period,
    };
    Ok(query::resolve(at.store.as_ref(), asked, at.today()).await?)
}

fn heading(asked: &Resolved) -> String {
    format!(
        "{} 区县 {} 至 {}",
        asked.county, asked.period.first, asked.period.last
    )
}

fn percent(rate: Fraction) -> String {
    format!("{}%", display(rate * 100))
}

fn fraction(value: Fraction) -> String {
    format!("{}/{}", value.numer(), value.denom())
}
