//! 假设试算: every school's points if some days were excluded, a reading were another, or another rubric held.
//!
//! A plain GET form: nothing is saved, and an address can be kept and sent on.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use maud::{Markup, html};

use super::{Tab, differences, list::rubrics, opened, page as head, tabs, watch_words};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        pages::figure,
        table::{Table, answer},
    },
    domain::{
        ids::TerminalId,
        rubric::{Reading, Rubric, Switch, rule::NotApplicable},
        usage::Period,
    },
    evaluation::{self, Changes, Excluded, Loaded, WhatIf},
    store::ContentDigest,
};

/// The page. Fields: `x` (a doubtful terminal's days), `exclude` (lines), `r.ID` (a reading's word), `rubric`.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let loaded = at.loaded(opened(&at, &run).await?).await?;
    let rubrics = rubrics(&at).await?;
    let changes = changes(&asked, loaded.run.period, &rubrics, &at).await?;
    let found = if changes == Changes::default() {
        None
    } else {
        Some(evaluation::what_if_of(at.store(), loaded.clone(), changes).await?)
    };
    let table = found
        .as_ref()
        .map(|found| differences("what-if", "试算前后", &found.schools));
    let tables: Vec<&Table> = table.iter().collect();
    answer(
        &filters,
        &tables,
        &format!("考核{}", loaded.run.id),
        || {
            head(&loaded.run, Tab::WhatIf).markup(&html! {
                (tabs(&loaded.run, Tab::WhatIf))
                section.card aria-labelledby="changes" { (form(&loaded, &asked, &rubrics)) }
                @if let (Some(found), Some(table)) = (&found, &table) {
                    (result(found))
                    section.card aria-labelledby="what-if" { (table.html(&again(&asked))) }
                }
            })
        },
    )
}

/// The fields again, for the export's address.
fn again(asked: &[(String, String)]) -> String {
    let own = |name: &str| !matches!(name, "format" | "table");
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in asked.iter().filter(|(name, _)| own(name)) {
        query.append_pair(name, value);
    }
    query.finish()
}

async fn changes(
    asked: &[(String, String)],
    whole: Period,
    rubrics: &[(ContentDigest, Rubric, bool)],
    at: &Context,
) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    for (name, value) in asked.iter().filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "x" => changes
                .exclude
                .push(excluded(&value.replace(':', " "), whole)?),
            "exclude" => {
                for line in value.lines().filter(|line| !line.trim().is_empty()) {
                    changes.exclude.push(excluded(line, whole)?);
                }
            }
            "rubric" => {
                let wanted = rubrics
                    .iter()
                    .find(|(digest, ..)| digest.to_string() == *value);
                let (digest, _, built_in) =
                    wanted.ok_or_else(|| Failure::field("细则", "请从列表中选择"))?;
                changes.rubric = Some(rubric_text(*digest, *built_in, at).await?);
            }
            name => {
                if let Some(id) = name.strip_prefix("r.") {
                    changes.readings.push((id.to_owned(), value.clone()));
                }
            }
        }
    }
    Ok(changes)
}

async fn rubric_text(
    digest: ContentDigest,
    built_in: bool,
    at: &Context,
) -> Result<String, Failure> {
    if built_in {
        return Ok(crate::domain::rubric::DEFAULT.to_owned());
    }
    let kept = at.store().rubric(digest).await?;
    let kept = kept.ok_or(evaluation::EvaluationError::NoRubric(digest))?;
    Ok(kept.text)
}

/// `TERMINAL`, or `TERMINAL FIRST LAST`.
fn excluded(line: &str, whole: Period) -> Result<Excluded, Failure> {
    let wrong = |problem: &str| Failure::field("不计的终端", format!("“{line}”{problem}"));
    let mut words = line
        .split([' ', '\t', ',', '，'])
        .filter(|one| !one.is_empty());
    let terminal: Result<TerminalId, _> = words.next().unwrap_or_default().parse();
    let terminal = terminal.map_err(|_error| wrong("的终端编号不合规"))?;
    let day = |text: &str| {
        text.parse()
            .map_err(|_error| wrong("的日期应写成 2026-09-01"))
    };
    let (first, last) = match (words.next(), words.next(), words.next()) {
        (None, ..) => (whole.first, whole.last),
        (Some(first), None, None) => (day(first)?, day(first)?),
        (Some(first), Some(last), None) => (day(first)?, day(last)?),
        _ => return Err(wrong("应写成:终端编号 起 止")),
    };
    Ok(Excluded {
        terminal,
        first,
        last,
    })
}

/// A switch's words, and what they mean.
const fn words(switch: &Switch) -> [(&'static str, &'static str); 2] {
    match switch {
        Switch::NotApplicable(NotApplicable { .. }) => {
            [("met", "视为达标"), ("unmet", "视为未达标")]
        }
        Switch::Veto(_) => [("indicator", "只扣二级指标"), ("group", "扣整个一级指标")],
        Switch::Bound { .. } => [("at_least", "含界限"), ("above", "不含界限")],
    }
}

fn form(
    loaded: &Loaded,
    asked: &[(String, String)],
    rubrics: &[(ContentDigest, Rubric, bool)],
) -> Markup {
    let rubric = &loaded.inputs.rubric.rubric;
    let given = |name: &str| {
        let found = asked.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let ticked = |value: &str| asked.iter().any(|(name, own)| name == "x" && own == value);
    let doubts = loaded.results.watch.doubts.iter();
    // Days that look doubtful for several reasons are one choice.
    let mut choices: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for doubt in doubts.flat_map(|school| &school.doubts) {
        let days = format!("{}:{}:{}", doubt.terminal, doubt.first, doubt.last);
        choices.entry(days).or_default().push(&doubt.sentence);
    }
    let readings = rubric.readings.iter();
    let readings: Vec<(&Reading, &Switch)> = readings
        .filter_map(|reading| Some((reading, reading.switch.as_ref()?)))
        .collect();
    html! {
        h2 #changes { "如果……(只试算,不保存)" }
        form method="get" {
            @if !choices.is_empty() {
                fieldset {
                    legend { "最高校的可疑终端,勾选的日子不计" }
                    @for (value, sentences) in &choices {
                        label.check {
                            input type="checkbox" name="x" value=(value) checked[ticked(value)];
                            span { @for sentence in sentences { span.each { (sentence) } } }
                        }
                    }
                }
            }
            div.filters {
                label.wide-field { "其他不计的终端(一行一台:终端编号,可加起止日期)"
                    textarea name="exclude" rows="2" placeholder="P-1 2026-09-01 2026-09-30" { (given("exclude")) }
                }
            }
            @if !readings.is_empty() {
                div.filters {
                    @for (reading, switch) in &readings {
                        label.wide-field { "解读 " (reading.id) ":" (reading.text)
                            select name={ "r." (reading.id) } {
                                option value="" { "照旧" }
                                @for (word, meaning) in words(switch) {
                                    option value=(word) selected[given(&format!("r.{}", reading.id)) == word] { (meaning) }
                                }
                            }
                        }
                    }
                    @if rubrics.len() > 1 {
                        label { "细则"
                            select name="rubric" {
                                option value="" { "照旧" }
                                @for (digest, rubric, _) in rubrics {
                                    option value=(digest) selected[given("rubric") == digest.to_string()] { (rubric.id) " " (rubric.title) }
                                }
                            }
                        }
                    }
                }
            }
            p.buttons {
                button.primary type="submit" { "试算" }
                a.button.quiet href={ "/runs/" (loaded.run.id) "/what-if" } { "重置" }
            }
        }
    }
}

fn result(found: &WhatIf) -> Markup {
    let moved = found.schools.iter().filter(|one| one.before != one.after);
    html! {
        dl.figures {
            (figure("全县最高平均使用", &found.highest_after, "分钟/台·日", &html! { "原来 " (found.highest_before) }))
            (figure("总分有变化", &moved.count().to_string(), "所学校", &html! { "试算,未保存" }))
        }
        section.card aria-label="试算后的最高校" { (watch_words(&found.watch_after)) }
    }
}
