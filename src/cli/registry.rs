//! `import` and `terminals`. Not responsible for reading tables or for the rules (`registry`).

use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED, USAGE,
    args::{ApproveArgs, ImportArgs},
    output::{self, print, table},
};
use crate::{
    observe::chain,
    query,
    registry::{self, Approval, ImportReport},
    store::TerminalFilter,
};

pub(super) async fn import(at: &Opened, arguments: &ImportArgs) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let content = tokio::fs::read(&arguments.file)
        .await
        .map_err(|error| Failure::said(FAILED, format!("{name}: {error}")))?;
    if arguments
        .file
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return calendar(at, arguments, &content, &name).await;
    }
    let report = registry::import(at.store.as_ref(), &content, None, &name, arguments.dry_run)
        .await
        .map_err(|error| Failure::said(REFUSED, format!("{name}: {}", chain(&error))))?;
    if at.json {
        output::json(&report)?;
    } else {
        show(&report, arguments.dry_run);
    }
    if report.errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::said(
            REFUSED,
            format!("{name}: {} 处错误,未导入任何内容", report.errors.len()),
        ))
    }
}

fn show(report: &ImportReport, dry_run: bool) {
    if !report.errors.is_empty() {
        let mut rows = table(&["工作表", "行", "列", "问题"], 99);
        for error in &report.errors {
            rows.add_row([
                error.sheet.clone(),
                error.row.to_string(),
                error.column.clone(),
                error.message.clone(),
            ]);
        }
        print(&rows.to_string());
        return;
    }
    let verb = if dry_run {
        "检查通过(未写入)"
    } else {
        "已导入"
    };
    print(&format!(
        "{verb}:新增 {} 行,变更 {} 行,不变 {} 行",
        report.added, report.changed, report.unchanged
    ));
}

async fn calendar(
    at: &Opened,
    arguments: &ImportArgs,
    content: &[u8],
    name: &str,
) -> Result<(), Failure> {
    let text = std::str::from_utf8(content)
        .map_err(|error| Failure::said(REFUSED, format!("{name}: not UTF-8: {error}")))?;
    let calendar = crate::domain::calendar::Calendar::parse(text)
        .map_err(|error| Failure::said(REFUSED, format!("{name}: {error}")))?;
    let county = query::resolve_county(at.store.as_ref(), arguments.county.clone()).await?;
    let version = if arguments.dry_run {
        None
    } else {
        Some(
            at.store
                .set_calendar(&county, text, at.now.as_second())
                .await?,
        )
    };
    if at.json {
        return output::json(&json!({
            "county": county, "calendar": calendar.name(), "version": version, "applied": version.is_some(),
        }));
    }
    match version {
        Some(version) => print(&format!(
            "{county} 的教学日历“{}”已生效,第 {version} 版",
            calendar.name()
        )),
        None => print(&format!("教学日历“{}”检查通过(未写入)", calendar.name())),
    }
    Ok(())
}

pub(super) async fn pending(at: &Opened) -> Result<(), Failure> {
    let filter = TerminalFilter {
        pending_only: true,
        ..TerminalFilter::default()
    };
    let terminals = at.store.terminals(&filter).await?;
    if at.json {
        return output::json(&terminals);
    }
    let mut rows = table(
        &[
            "终端",
            "首次报告",
            "最近报告",
            "时钟偏差(秒)",
            "程序版本",
            "系统",
        ],
        99,
    );
    for one in &terminals {
        let time =
            |at_second: Option<i64>| at_second.map_or_else(String::new, |second| at.local(second));
        rows.add_row([
            one.id.to_string(),
            time(one.first_heard),
            time(one.last_heard),
            one.clock_offset
                .map_or_else(String::new, |offset| offset.to_string()),
            one.version.clone(),
            one.os.clone(),
        ]);
    }
    print(&rows.to_string());
    print(&format!("{} 台终端等待批准", terminals.len()));
    Ok(())
}

pub(super) async fn approve(at: &Opened, arguments: &ApproveArgs) -> Result<(), Failure> {
    if arguments.terminals.len() > 1 && !arguments.room.is_empty() {
        return Err(Failure::said(USAGE, "--room goes with one terminal only"));
    }
    let approvals = arguments.terminals.iter().map(|terminal| Approval {
        terminal: terminal.clone(),
        school: arguments.school.clone(),
        room: arguments.room.clone(),
        from: arguments.from,
    });
    let approved = registry::approve(at.store.as_ref(), approvals.collect(), &at.config.zone)
        .await
        .map_err(|error| Failure::said(REFUSED, chain(&error)))?;
    if at.json {
        return output::json(&json!({ "approved": approved }));
    }
    print(&format!(
        "已批准 {approved} 台终端,其已上报的分钟从启用日期起计入"
    ));
    Ok(())
}
