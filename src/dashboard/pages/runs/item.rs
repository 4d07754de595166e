//! One item of one school: what was known, how it was read, and for 后台监测 every terminal's days down to minutes.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Tab, mark, opened, school_code, school_page, tabs};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::rubric::{ItemEvidence, Value, list::ListRow},
    evaluation::{
        EvaluationError, Explanation, MonitoringExplanation, TerminalDayExplanation,
        TerminalExplanation,
    },
};

/// What the address asks for beside the filters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    /// The terminal whose days are shown.
    terminal: String,
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path((run, code, item)): Path<(String, String, String)>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let code = school_code(&code)?;
    let mut loaded = at.loaded_for(opened(&at, &run).await?, &code).await?;
    let found = match Explanation::of(&loaded, &code, &item) {
        Err(EvaluationError::Unread(_)) => {
            loaded = at.looked_into(loaded.run.clone(), &code).await?;
            Explanation::of(&loaded, &code, &item)
        }
        found => found,
    }?;
    let here = format!("/runs/{}/schools/{code}/items/{item}", loaded.run.id);
    let answers = found.evidence.as_ref().map(answers_table);
    let listed = found.evidence.as_ref().and_then(list_table);
    let monitoring = found.monitoring.as_ref();
    let terminals = monitoring.map(|one| terminals_table(one, &here));
    let days = match &asked.terminal {
        none if none.is_empty() => None,
        wanted => Some(days_of(monitoring, wanted)?),
    };
    let days = days.map(days_table);
    let tables: Vec<&Table> = [&days, &answers, &listed, &terminals]
        .into_iter()
        .flatten()
        .collect();
    let name = format!("考核{}_{code}_{item}", loaded.run.id);
    answer(&filters, &tables, &name, || {
        let run = &loaded.run;
        let school = format!("/runs/{}/schools/{code}", run.id);
        let way = vec![(school.clone(), found.school.name.clone())];
        let mut page = school_page(run, format!("条目 {item}"), way);
        page.lead = format!("{} · {}", found.school.name, run.name);
        let query = own_query(&asked);
        page.markup(&html! {
            (tabs(run, Tab::Summary))
            section.card {
                p { (found.text) }
                p.result {
                    "计 " strong { (found.score.points) } " 分。"
                    @if !mark(found.score.state).is_empty() { span.trial { (mark(found.score.state)) } }
                    (found.score.reason)
                }
                @for (id, text) in &found.readings { p.note { "解读 " (id) ":" (text) } }
            }
            (evidence_part(&found, &school, answers.as_ref(), listed.as_ref(), &query, &at))
            @if let (Some(monitoring), Some(table)) = (monitoring, &terminals) {
                section.card { (sums(monitoring)) (table.html(&query)) }
            }
            @if let Some(table) = &days { section.card { (table.html(&query)) } }
        })
    })
}

fn own_query(asked: &Asked) -> String {
    if asked.terminal.is_empty() {
        return String::new();
    }
    form_urlencoded::Serializer::new(String::new())
        .append_pair("terminal", &asked.terminal)
        .finish()
}

fn evidence_part(
    found: &Explanation,
    school: &str,
    answers: Option<&Table>,
    listed: Option<&Table>,
    query: &str,
    at: &Context,
) -> Markup {
    if found.monitoring.is_some() {
        return html! {};
    }
    html! {
        section.card aria-label="材料" {
            @match (&found.evidence, answers) {
                (Some(evidence), Some(table)) => {
                    (table.html(query))
                    @if let Some(list) = listed { (list.html(query)) }
                    dl.facts {
                        dt { "依据" } dd { @if evidence.source.is_empty() { "未写" } @else { (evidence.source) } }
                        @for attachment in &evidence.attachments { dt { "附件" } dd { (attachment) } }
                        dt { "填报" } dd { (evidence.by) " " (text::moment(evidence.at, &at.parts.zone)) }
                    }
                }
                _ => { h2 { "材料" } p.empty { "还没有材料。" } }
            }
            @if Tab::Evidence.opens() {
                p { a href={ (school) "/evidence#i-" (found.score.id) } { "填写本条材料" } }
            }
        }
    }
}

fn answers_table(evidence: &ItemEvidence) -> Table {
    let row = |(question, value): (&String, &Value)| {
        vec![Cell::from(question.clone()), value.to_string().into()]
    };
    Table {
        key: "answers",
        caption: "材料".to_owned(),
        columns: vec![Column::Head("提问"), Column::Long("回答")],
        rows: evidence.values.iter().map(row).collect(),
        empty: "只有依据,没有回答。",
    }
}

fn list_table(evidence: &ItemEvidence) -> Option<Table> {
    let rows = evidence.values.values().find_map(|value| match value {
        Value::List(rows) => Some(rows),
        _ => None,
    })?;
    let row = |one: &ListRow| {
        let person = one
            .person
            .map_or_else(String::new, |number| number.to_string());
        vec![
            Cell::from(one.title.clone()),
            one.level.clone().into(),
            one.prize.clone().into(),
            person.into(),
            one.proof.clone().into(),
        ]
    };
    Some(Table {
        key: "list",
        caption: "名单".to_owned(),
        columns: vec![
            Column::Head("名称"),
            Column::Text("级别"),
            Column::Text("奖次"),
            Column::Number("获奖人序号"),
            Column::Long("证书号或日期"),
        ],
        rows: rows.iter().map(row).collect(),
        empty: "",
    })
}

fn sums(monitoring: &MonitoringExplanation) -> Markup {
    html! {
        p {
            "合计 " strong { (monitoring.sums.counted) } " 分钟 ÷ " strong { (monitoring.sums.service_days) }
            " 台·日;全县最高 " strong { (monitoring.highest) } " 分钟/台·日。"
        }
    }
}

fn terminals_table(monitoring: &MonitoringExplanation, here: &str) -> Table {
    let row = |one: &TerminalExplanation| {
        let days = format!("{here}?terminal={}#days", one.terminal);
        vec![
            Cell::link(one.terminal.to_string(), &days),
            one.room.clone().into(),
            Cell::count(one.counted),
            Cell::count(one.due_days),
            Cell::count(one.excluded_days),
        ]
    };
    Table {
        key: "terminals",
        caption: "各终端".to_owned(),
        columns: vec![
            Column::Head("终端"),
            Column::Text("教室"),
            Column::Number("计入分钟"),
            Column::Number("应计日"),
            Column::Number("排除日"),
        ],
        rows: monitoring.terminals.iter().map(row).collect(),
        empty: "本校在考核期没有终端。",
    }
}

fn days_of<'a>(
    monitoring: Option<&'a MonitoringExplanation>,
    wanted: &str,
) -> Result<&'a TerminalExplanation, Failure> {
    let terminals = monitoring.map_or(&[][..], |one| &one.terminals);
    let found = terminals.iter().find(|one| one.terminal.as_str() == wanted);
    Ok(found.ok_or_else(|| EvaluationError::Unknown {
        what: "terminal",
        id: wanted.chars().take(64).collect(),
    })?)
}

fn days_table(one: &TerminalExplanation) -> Table {
    let row = |day: &TerminalDayExplanation| {
        let excluded = day.excluded.as_ref().map(|kept| &kept.exclusion);
        let page = format!("/terminals/{}?date={}", one.terminal, day.day);
        vec![
            Cell::link(day.day.to_string(), &page),
            day.teaching
                .map_or_else(|| "非教学日".to_owned(), |minutes| minutes.to_string())
                .into(),
            Cell::count(day.used_minutes),
            Cell::count(day.counted),
            day.used.clone().into(),
            excluded
                .map_or_else(String::new, |one| format!("{}({})", one.reason, one.by))
                .into(),
        ]
    };
    Table {
        key: "days",
        caption: format!("终端 {} 逐日", one.terminal),
        columns: vec![
            Column::Head("日期"),
            Column::Number("教学分钟"),
            Column::Number("使用分钟"),
            Column::Number("计入分钟"),
            Column::Long("使用时段"),
            Column::Long("排除理由"),
        ],
        rows: one.days.iter().map(row).collect(),
        empty: "没有应计的日子,也没有使用。",
    }
}
