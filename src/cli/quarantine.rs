//! `quarantine list` and `replay`. Not responsible for the checks (`ingest`).

use serde_json::json;

use super::{
    Failure, Opened,
    args::SelectionArgs,
    output::{self, print, table},
};
use crate::{
    ingest::replay::{Selection, replay as replay_entries},
    store::Quarantined,
};

fn selection(arguments: &SelectionArgs) -> Selection {
    Selection {
        id: arguments.id,
        terminal: arguments.terminal.clone(),
        reason: arguments.reason.clone(),
    }
}

pub(super) async fn list(at: &Opened, arguments: &SelectionArgs) -> Result<(), Failure> {
    let selection = selection(arguments);
    let mut found: Vec<Quarantined> = Vec::new();
    let mut after = arguments.id.map_or(0, |id| id - 1);
    while found.len() < arguments.limit as usize {
        let page = at.store.quarantine(after, 1_000).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        found.extend(page.into_iter().filter(|entry| selection.matches(entry)));
    }
    found.truncate(arguments.limit as usize);
    let counts = at.store.quarantine_counts().await?;
    if at.json {
        let counts: serde_json::Map<_, _> = counts
            .into_iter()
            .map(|(reason, count)| (reason, json!(count)))
            .collect();
        return output::json(&json!({ "entries": found, "waiting": counts }));
    }
    let mut rows = table(&["编号", "终端", "原因", "说明", "最近收到", "次数"], 5);
    for entry in &found {
        rows.add_row([
            entry.id.to_string(),
            entry.terminal.clone(),
            entry.reason.clone(),
            entry.detail.clone(),
            at.local(entry.last_at),
            entry.times.to_string(),
        ]);
    }
    print(&rows.to_string());
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let by_reason: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    print(&format!("共 {total} 条待处理  {}", by_reason.join("  ")));
    Ok(())
}

pub(super) async fn replay(at: &Opened, arguments: &SelectionArgs) -> Result<(), Failure> {
    let selection = selection(arguments);
    let done = replay_entries(
        at.store.as_ref(),
        &selection,
        at.now.as_second(),
        &at.config.zone,
    )
    .await?;
    if at.json {
        return output::json(&done);
    }
    print(&format!("重放 {} 条,计入 {} 条", done.tried, done.counted));
    for (reason, count) in &done.refused {
        print(&format!("仍不可信 {count} 条:{reason}"));
    }
    Ok(())
}
