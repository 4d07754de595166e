//! What the demo prints: addresses, progress, and the table of schools.
//!
//! Not responsible for the figures (`query`).

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::Path,
};

use comfy_table::{CellAlignment, Table, presets};

use super::{DemoError, county::Cast};
use crate::{
    app::App,
    clock::{Clock as _, SystemClock},
    domain::usage::{Fraction, Period, display},
    query,
    store::SharedStore,
};

pub(super) fn say(text: &str) {
    clear_progress();
    drop(writeln!(std::io::stdout(), "{text}"));
}

pub(super) fn opening(app: &App, broker: SocketAddr, folder: &Path, cast: &Cast, seed: u64) {
    say("Classpulse 课脉 demo");
    say(&format!("  MQTT broker       {broker}"));
    say(&format!("  dashboard         http://{}", app.api));
    say(&format!("  gRPC, gRPC-Web    {}", app.api));
    say(&format!("  metrics           http://{}/metrics", app.api));
    say(&format!("  data              {}", folder.display()));
    say(&format!(
        "  county            {} schools, {} terminals, term from {}, seed {seed}",
        cast.registry.schools.len(),
        cast.actors.len(),
        cast.first
    ));
    say(&format!(
        "  join with         classpulse-agent run --server {broker} --terminal my-pc"
    ));
}

/// One line that is written over, on a terminal only.
pub(super) fn progress(waiting: usize, reports: u64) {
    if std::io::stdout().is_terminal() {
        let mut out = std::io::stdout();
        drop(write!(
            out,
            "\r  {reports} reports committed, {waiting} terminals still sending   "
        ));
        drop(out.flush());
    }
}

fn clear_progress() {
    if std::io::stdout().is_terminal() {
        drop(write!(std::io::stdout(), "\r\x1b[K"));
    }
}

pub(super) async fn quarantined(store: &SharedStore) -> Result<String, DemoError> {
    let counts = store.quarantine_counts().await?;
    let counts: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    Ok(if counts.is_empty() {
        "quarantine is empty".to_owned()
    } else {
        format!("in quarantine: {}", counts.join(", "))
    })
}

/// Schools by points. On a terminal the live table is drawn over the one before.
pub(super) async fn table(
    store: &SharedStore,
    cast: &Cast,
    period: Period,
    live: bool,
) -> Result<(), DemoError> {
    let county = &cast.registry.counties[0].code;
    let scores = query::monitoring_scores(store.as_ref(), county, period).await?;
    let usage = query::school_usage(
        store.as_ref(),
        county,
        period,
        &query::SchoolFilter::default(),
    )
    .await?;
    let now = SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "学校",
        "学段",
        "终端",
        "有报告",
        "现在开机",
        "现在使用",
        "平均(分钟/台·日)",
        "与最高比",
        "后台监测",
    ]);
    for column in 2..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for one in &scores.schools {
        let Some(usage) = usage
            .iter()
            .find(|usage| usage.school.code == one.school.code)
        else {
            continue;
        };
        let (on, in_use) = now_on(store, &one.school.code, now.as_second()).await?;
        let zero = Fraction::from_integer(0);
        let ratio = if scores.highest == zero {
            zero
        } else {
            one.score.average / scores.highest * 100
        };
        table.add_row([
            one.school.name.clone(),
            one.school.stage.to_string(),
            usage.terminals.to_string(),
            usage.reporting_terminals.to_string(),
            on.to_string(),
            in_use.to_string(),
            display(one.score.average),
            format!("{}%", display(ratio)),
            display(one.score.points),
        ]);
    }
    let place = if live && std::io::stdout().is_terminal() {
        "\x1b[2J\x1b[H"
    } else {
        ""
    };
    let pending = store.pending_count().await?;
    say(&format!(
        "{place}{} 至 {},{} 台终端等待批准\n{table}",
        period.first, period.last, pending
    ));
    Ok(())
}

/// Terminals of a school that were heard in the last two minutes, and those used in that time.
async fn now_on(
    store: &SharedStore,
    school: &crate::domain::ids::SchoolCode,
    now: i64,
) -> Result<(usize, usize), DemoError> {
    let recent = now - 120;
    let days = [now - 86_400, now, now + 86_400]
        .map(|at| crate::domain::session::day_of(at, &jiff::tz::TimeZone::UTC));
    let [Some(first), _, Some(last)] = days else {
        return Ok((0, 0));
    };
    let days = store
        .school_terminal_days(school, Period { first, last })
        .await?;
    let on: Vec<_> = days
        .iter()
        .filter(|(_, _, minutes)| minutes.last_seen >= recent)
        .collect();
    let in_use = on.iter().filter(|(_, _, minutes)| {
        let last = minutes.used.runs().last().map_or(0, |run| run.end);
        let powered = minutes.powered.runs().last().map_or(0, |run| run.end);
        last != 0 && last + 2 >= powered
    });
    Ok((on.len(), in_use.count()))
}
