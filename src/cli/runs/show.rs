//! What a run says: points, reasons, doubts, differences.

use serde_json::json;

use super::{
    super::{
        Failure, Opened, REFUSED,
        args::ExplainArgs,
        output::{self, print, table},
    },
    state,
};
use crate::{
    domain::{ids::SchoolCode, rubric::sheet::ItemState},
    evaluation::{self, Explanation, Loaded, SchoolDifference, TerminalExplanation},
    sheets::{results::Results, run},
};

pub(super) async fn show(
    at: &Opened,
    run: i64,
    school: Option<&SchoolCode>,
) -> Result<(), Failure> {
    let loaded = evaluation::load(at.store.as_ref(), run).await?;
    if let Some(school) = school {
        return one_school(at, &loaded, school);
    }
    if at.json {
        return output::json(&json!({
            "run": loaded.run, "results": loaded.results, "watch": loaded.results.watch,
        }));
    }
    let results = run::results(&loaded, &at.config.zone);
    print(&format!(
        "{}({}) {}",
        loaded.run.name,
        state(&loaded.run),
        results.state
    ));
    print(&ranking(&loaded, &results));
    let missing = loaded.results.missing();
    print(&figures(&loaded));
    if missing > 0 {
        print(&format!(
            "有 {missing} 项材料未填,暂记 0 分;明细:classpulse runs show {run} --school 学校标识码"
        ));
    }
    Ok(())
}

/// What `freeze --expect` takes.
fn figures(loaded: &Loaded) -> String {
    let digits: String = loaded
        .results
        .figures()
        .to_string()
        .chars()
        .take(16)
        .collect();
    format!("成绩摘要 {digits}")
}

fn ranking(loaded: &Loaded, results: &Results) -> String {
    let groups = &loaded.inputs.rubric.rubric.groups;
    let mut headings = vec![
        "名次".to_owned(),
        "学校标识码".to_owned(),
        "学校".to_owned(),
    ];
    headings.extend(groups.iter().map(ToString::to_string));
    headings.push("总分".to_owned());
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut rows = table(&headings, 3);
    for ranked in results.ranked() {
        let mut row = vec![
            ranked.rank.to_string(),
            ranked.of.school.code.to_string(),
            ranked.of.school.name.clone(),
        ];
        row.extend(
            ranked
                .of
                .sheet
                .groups
                .iter()
                .map(|group| group.points.to_string()),
        );
        row.push(ranked.of.sheet.total.to_string());
        rows.add_row(row);
    }
    rows.to_string()
}

fn one_school(at: &Opened, loaded: &Loaded, school: &SchoolCode) -> Result<(), Failure> {
    loaded.inputs.school(school)?;
    let Some(found) = loaded.results.school(school) else {
        return Err(Failure::said(REFUSED, format!("考核中没有学校 {school}")));
    };
    if at.json {
        return output::json(found);
    }
    print(&format!("{} 总分 {}", found.school.name, found.sheet.total));
    let mut rows = table(&["条目", "计分", "说明"], 99);
    for item in found.sheet.items() {
        let mark = match item.state {
            ItemState::Scored => "",
            ItemState::NotApplicable => "(不适用)",
            ItemState::Missing => "(缺材料)",
            ItemState::Vetoed => "(否决)",
        };
        rows.add_row([
            item.id.clone(),
            item.points.to_string(),
            format!("{mark}{}", item.reason),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

pub(super) async fn inspect(at: &Opened, run: i64) -> Result<(), Failure> {
    let loaded = evaluation::load(at.store.as_ref(), run).await?;
    let watch = &loaded.results.watch;
    let missing = loaded.results.missing();
    if at.json {
        return output::json(&json!({
            "watch": watch, "missing": missing, "figures": loaded.results.figures(),
            "revision": loaded.run.revision,
        }));
    }
    for sentence in &watch.sentences {
        print(sentence);
    }
    let mut rows = table(&["学校标识码", "终端", "起", "止", "可疑之处"], 99);
    for school in &watch.doubts {
        for doubt in &school.doubts {
            rows.add_row([
                school.school.to_string(),
                doubt.terminal.to_string(),
                doubt.first.to_string(),
                doubt.last.to_string(),
                doubt.sentence.clone(),
            ]);
        }
    }
    if !rows.is_empty() {
        print(&rows.to_string());
    }
    if missing > 0 {
        print(&format!("有 {missing} 项材料未填,冻结后记 0 分。"));
    }
    print(&figures(&loaded));
    Ok(())
}

pub(super) async fn explain(at: &Opened, arguments: &ExplainArgs) -> Result<(), Failure> {
    let store = at.store.as_ref();
    let found =
        evaluation::explain(store, arguments.run, &arguments.school, &arguments.item).await?;
    if at.json {
        return output::json(&found);
    }
    print(&format!(
        "{} {} {}",
        found.school.name, found.score.id, found.text
    ));
    print(&format!(
        "计 {} 分。{}",
        found.score.points, found.score.reason
    ));
    for (id, text) in &found.readings {
        print(&format!("解读 {id}:{text}"));
    }
    if let Some(evidence) = &found.evidence {
        let source = match evidence.source.as_str() {
            "" => "未写依据",
            source => source,
        };
        print(&format!(
            "材料:{source};{} 于 {} 填报",
            evidence.by,
            at.local(evidence.at)
        ));
        for attachment in &evidence.attachments {
            print(&format!("附件:{attachment}"));
        }
    }
    match &arguments.terminal {
        None => print_terminals(&found),
        Some(wanted) => {
            let terminals = found.monitoring.iter().flat_map(|one| &one.terminals);
            let one = terminals.into_iter().find(|one| one.terminal == *wanted);
            let Some(one) = one else {
                let problem = format!("终端 {wanted} 不在本条的计算之中");
                return Err(Failure::said(REFUSED, problem));
            };
            print_days(one);
        }
    }
    Ok(())
}

fn print_terminals(found: &Explanation) {
    let Some(monitoring) = &found.monitoring else {
        return;
    };
    let mut rows = table(&["终端", "教室", "计入分钟", "应计日", "排除日"], 2);
    for one in &monitoring.terminals {
        rows.add_row([
            one.terminal.to_string(),
            one.room.clone(),
            one.counted.to_string(),
            one.due_days.to_string(),
            one.excluded_days.to_string(),
        ]);
    }
    print(&rows.to_string());
    print(&format!(
        "合计 {} 分钟 ÷ {} 台·日;全县最高 {} 分钟/台·日。逐日明细:加 --terminal 终端",
        monitoring.sums.counted, monitoring.sums.service_days, monitoring.highest
    ));
}

fn print_days(one: &TerminalExplanation) {
    let mut rows = table(
        &[
            "日期",
            "教学分钟",
            "使用分钟",
            "计入分钟",
            "使用时段",
            "排除理由",
        ],
        99,
    );
    for day in &one.days {
        let excluded = day.excluded.as_ref().map(|kept| &kept.exclusion);
        rows.add_row([
            day.day.to_string(),
            day.teaching
                .map_or_else(|| "非教学日".to_owned(), |count| count.to_string()),
            day.used_minutes.to_string(),
            day.counted.to_string(),
            day.used.clone(),
            excluded.map_or_else(String::new, |one| format!("{}({})", one.reason, one.by)),
        ]);
    }
    print(&rows.to_string());
}

pub(super) async fn compare(at: &Opened, before: i64, after: i64) -> Result<(), Failure> {
    let found = evaluation::compare(at.store.as_ref(), before, after).await?;
    if at.json {
        return output::json(&found);
    }
    print(&found.inputs.sentence());
    if found.schools.is_empty() {
        print("各校各条的计分与说明完全相同。");
        return Ok(());
    }
    print(&differences(&found.schools));
    Ok(())
}

/// Schools with their totals before and after, and the items that differ.
pub(super) fn differences(schools: &[SchoolDifference]) -> String {
    let mut rows = table(
        &["学校标识码", "学校", "原总分", "新总分", "变化的条目"],
        99,
    );
    for one in schools {
        let points = |points: Option<crate::domain::rubric::Points>| {
            points.map_or_else(|| "—".to_owned(), |points| points.to_string())
        };
        let items = one.items.iter().filter_map(|item| {
            let side = |score: &Option<crate::domain::rubric::sheet::ItemScore>| {
                points(score.as_ref().map(|score| score.points))
            };
            let (before, after) = (side(&item.before), side(&item.after));
            (before != after).then(|| format!("{} {before} → {after}", item.item))
        });
        rows.add_row([
            one.school.to_string(),
            one.name.clone(),
            points(one.before),
            points(one.after),
            items.collect::<Vec<_>>().join(";"),
        ]);
    }
    rows.to_string()
}
