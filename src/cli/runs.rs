//! `runs`: evaluation runs made, read, frozen and verified. Not responsible for what they give (`evaluation`).

use jiff::civil::Date;
use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED, USAGE,
    args::{CreateRunArgs, ExcludeArgs, ExportArgs, FreezeArgs, RunsCommand, WhatIfArgs},
    output::{self, print, table},
};
use crate::{
    domain::{
        ids::{CountyCode, TerminalId},
        usage::Period,
    },
    evaluation::{self, Changes, Excluded, Freezing, NewEvaluation},
    observe::chain,
    query,
    sheets::run,
    store::{ContentDigest, Exclusion, Run},
};

mod show;

pub(super) async fn runs(at: &Opened, command: &RunsCommand) -> Result<(), Failure> {
    match command {
        RunsCommand::Create(arguments) => create(at, arguments).await,
        RunsCommand::List { county } => list(at, county.clone()).await,
        RunsCommand::Show { run, school } => show::show(at, *run, school.as_ref()).await,
        RunsCommand::Inspect { run } => show::inspect(at, *run).await,
        RunsCommand::Explain(arguments) => show::explain(at, arguments).await,
        RunsCommand::Exclude(arguments) => exclude(at, arguments).await,
        RunsCommand::Include { run, id } => include(at, *run, *id).await,
        RunsCommand::Exclusions { run } => exclusions(at, *run).await,
        RunsCommand::WhatIf(arguments) => what_if(at, arguments).await,
        RunsCommand::Freeze(arguments) => freeze(at, arguments).await,
        RunsCommand::Verify { run } => verify(at, *run).await,
        RunsCommand::Compare { before, after } => show::compare(at, *before, *after).await,
        RunsCommand::Export(arguments) => export(at, arguments).await,
        RunsCommand::Discard { run } => discard(at, *run).await,
    }
}

async fn create(at: &Opened, arguments: &CreateRunArgs) -> Result<(), Failure> {
    let store = at.store.as_ref();
    let county = query::resolve_county(store, arguments.county.clone()).await?;
    let period = Period {
        first: arguments.from,
        last: arguments.to,
    };
    // The same name for the same days is the same run, unless its maker says otherwise.
    let named = || {
        let named = format!("{} {} {}", arguments.name, period.first, period.last);
        ContentDigest::of(named.as_bytes()).to_string()
    };
    let new = NewEvaluation {
        key: arguments.key.clone().unwrap_or_else(named),
        county,
        name: arguments.name.clone(),
        period,
        rubric: arguments.rubric,
        supersedes: arguments.supersedes,
        minutes_from: arguments.minutes_from,
        by: arguments.by.clone(),
        at: at.now.as_second(),
    };
    let created = evaluation::create(store, new).await?;
    let run = created.run;
    if at.json {
        return output::json(&json!({ "run": run, "left_out": created.left_out }));
    }
    print(&format!(
        "考核 {}:{}({}),考核期 {} 至 {}",
        run.id,
        run.name,
        state(&run),
        run.period.first,
        run.period.last
    ));
    for one in &created.left_out {
        print(&format!(
            "未沿用:学校 {} 条目 {} {}:{}",
            one.school, one.item, one.key, one.problem
        ));
    }
    Ok(())
}

fn state(run: &Run) -> &'static str {
    match run.frozen() {
        None => "草稿",
        Some(_) => "已冻结",
    }
}

async fn list(at: &Opened, county: Option<CountyCode>) -> Result<(), Failure> {
    let county = query::resolve_county(at.store.as_ref(), county).await?;
    let runs = at.store.runs(&county).await?;
    if at.json {
        return output::json(&runs);
    }
    let headings = [
        "编号",
        "名称",
        "状态",
        "考核期",
        "更正",
        "建立",
        "冻结",
        "摘要",
    ];
    let mut rows = table(&headings, 99);
    for run in &runs {
        let freeze = run.frozen();
        rows.add_row([
            run.id.to_string(),
            run.name.clone(),
            state(run).to_owned(),
            format!("{} 至 {}", run.period.first, run.period.last),
            run.supersedes.map_or_else(String::new, |id| id.to_string()),
            format!("{} {}", at.local(run.at), run.by),
            freeze.map_or_else(String::new, |one| {
                format!("{} {}", at.local(one.at), one.by)
            }),
            // `--json` has the whole digest.
            freeze.map_or_else(String::new, |one| {
                one.digest.to_string().chars().take(12).collect()
            }),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

async fn exclude(at: &Opened, arguments: &ExcludeArgs) -> Result<(), Failure> {
    let period = at.store.run(arguments.run).await.map_err(refused)?.period;
    let exclusion = Exclusion {
        terminal: arguments.terminal.clone(),
        first: arguments.from.unwrap_or(period.first),
        last: arguments.to.unwrap_or(period.last),
        reason: arguments.reason.clone(),
        by: arguments.by.clone(),
        at: at.now.as_second(),
    };
    let shown = format!(
        "终端 {} 的 {} 至 {}",
        exclusion.terminal, exclusion.first, exclusion.last
    );
    let id = evaluation::exclude(at.store.as_ref(), arguments.run, exclusion)
        .await?
        .id;
    if at.json {
        return output::json(&json!({ "id": id }));
    }
    print(&format!(
        "已排除 {shown},编号 {id};撤回:classpulse runs include {} {id}",
        arguments.run
    ));
    Ok(())
}

fn refused(error: crate::store::StoreError) -> Failure {
    evaluation::EvaluationError::from(error).into()
}

async fn include(at: &Opened, run: i64, id: i64) -> Result<(), Failure> {
    at.store.remove_exclusion(run, id).await.map_err(refused)?;
    if at.json {
        return output::json(&json!({ "removed": id }));
    }
    print(&format!("已撤回排除 {id}"));
    Ok(())
}

async fn exclusions(at: &Opened, run: i64) -> Result<(), Failure> {
    let found = evaluation::list_exclusions(at.store.as_ref(), run).await?;
    if at.json {
        return output::json(&found);
    }
    let mut rows = table(&["编号", "终端", "起", "止", "理由", "决定人", "时间"], 99);
    for one in &found {
        let kept = &one.exclusion;
        rows.add_row([
            one.id.to_string(),
            kept.terminal.to_string(),
            kept.first.to_string(),
            kept.last.to_string(),
            kept.reason.clone(),
            kept.by.clone(),
            at.local(kept.at),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

async fn what_if(at: &Opened, arguments: &WhatIfArgs) -> Result<(), Failure> {
    let run = at.store.run(arguments.run).await.map_err(refused)?;
    let mut changes = Changes::default();
    for text in &arguments.exclude {
        changes.exclude.push(excluded(text, run.period)?);
    }
    for text in &arguments.reading {
        let (id, word) = text
            .split_once('=')
            .ok_or_else(|| Failure::said(USAGE, format!("--reading {text:?}: write ID=WORD")))?;
        changes.readings.push((id.to_owned(), word.to_owned()));
    }
    if let Some(file) = &arguments.rubric {
        changes.rubric = Some(super::rubric::read(file).await?.0);
    }
    let found = evaluation::what_if(at.store.as_ref(), arguments.run, changes).await?;
    if at.json {
        return output::json(&found);
    }
    print(&format!(
        "全县最高平均使用时间:{} → {} 分钟/台·日(试算,未保存)",
        found.highest_before, found.highest_after
    ));
    print(&show::differences(&found.schools));
    for sentence in &found.watch_after.sentences {
        print(sentence);
    }
    Ok(())
}

/// `TERMINAL` or `TERMINAL:FIRST:LAST`. A terminal's id has no colon.
fn excluded(text: &str, whole: Period) -> Result<Excluded, Failure> {
    let wrong = |problem: &str| Failure::said(USAGE, format!("--exclude {text:?}: {problem}"));
    let mut parts = text.split(':');
    let terminal: TerminalId = parts.next().unwrap_or_default().parse()?;
    let day = |text: &str| {
        text.parse::<Date>()
            .map_err(|error| wrong(&error.to_string()))
    };
    let (first, last) = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => (whole.first, whole.last),
        (Some(first), Some(last), None) => (day(first)?, day(last)?),
        _ => return Err(wrong("write TERMINAL or TERMINAL:FIRST:LAST")),
    };
    Ok(Excluded {
        terminal,
        first,
        last,
    })
}

async fn freeze(at: &Opened, arguments: &FreezeArgs) -> Result<(), Failure> {
    let freezing = Freezing {
        revision: None,
        figures: arguments.expect.clone(),
        by: arguments.by.clone(),
        at: at.now.as_second(),
        today: at.today(),
        note: arguments.note.clone(),
        accept_missing: arguments.accept_missing,
    };
    let run = evaluation::freeze(at.store.as_ref(), arguments.run, freezing).await?;
    if at.json {
        return output::json(&run);
    }
    let digest = run.frozen().map(|freeze| freeze.digest.to_string());
    print(&format!(
        "考核 {} 已冻结,摘要 {}",
        run.id,
        digest.unwrap_or_default()
    ));
    Ok(())
}

async fn verify(at: &Opened, run: i64) -> Result<(), Failure> {
    let found = evaluation::verify(at.store.as_ref(), run).await?;
    if at.json {
        output::json(&found)?;
    } else if found.is_sound() {
        print(&format!(
            "考核 {run} 与冻结时完全一致:{} 个部分,摘要 {}",
            found.parts, found.digest
        ));
        if found.reworded > 0 {
            print(&format!(
                "其中 {} 条计分说明与本版本程序的措辞不同,分数一致",
                found.reworded
            ));
        }
    } else {
        let mut rows = table(&["部分", "问题"], 99);
        for fault in &found.faults {
            rows.add_row([fault.part.clone(), fault.problem.clone()]);
        }
        print(&rows.to_string());
    }
    if found.is_sound() {
        Ok(())
    } else {
        let count = found.faults.len();
        Err(Failure::said(
            FAILED,
            format!("考核 {run} 与冻结时不一致:{count} 处"),
        ))
    }
}

async fn export(at: &Opened, arguments: &ExportArgs) -> Result<(), Failure> {
    let loaded = evaluation::load(at.store.as_ref(), arguments.run).await?;
    let results = run::results(&loaded, &at.config.zone);
    let found = run::export(&results, arguments.format, arguments.school.as_ref())
        .map_err(|error| Failure::said(FAILED, chain(&error)))?;
    let (name, content) = found.ok_or_else(|| Failure::said(REFUSED, "考核中没有这所学校"))?;
    let out = arguments.out.clone().unwrap_or_else(|| name.into());
    output::file(at, &out, &content).await
}

async fn discard(at: &Opened, run: i64) -> Result<(), Failure> {
    at.store.discard_run(run).await.map_err(refused)?;
    if at.json {
        return output::json(&json!({ "discarded": run }));
    }
    print(&format!("草稿 {run} 已删除"));
    Ok(())
}
