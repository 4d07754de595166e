//! CSV for spreadsheets and JSON for programs.

use csv::{Terminator, WriterBuilder};
use serde::Serialize;

use super::{Figure, Ranked, Results, average, figures, sum, summary};
use crate::domain::{
    rubric::{
        Group, Indicator, Points,
        definition::Item,
        sheet::{GroupScore, IndicatorScore, ItemScore, ItemState},
    },
    usage::{Period, display},
};

/// What a spreadsheet takes for a formula, also as full-width characters of Chinese keyboards.
const FORMULA: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '|', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// A text that no spreadsheet runs.
fn text(text: &str) -> String {
    if text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Rows as CSV: UTF-8 with a mark by which Excel tells it, lines ended as on Windows.
fn csv(rows: Vec<Vec<String>>) -> Vec<u8> {
    let mut out = b"\xef\xbb\xbf".to_vec();
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .flexible(true)
        .from_writer(&mut out);
    for row in rows {
        // Into memory nothing can fail.
        let _ = writer.write_record(&row);
    }
    let _ = writer.flush();
    drop(writer);
    out
}

/// 考核评分汇总表 as CSV: schools by rank, then 平均 and 合计.
#[must_use]
pub fn summary_csv(results: &Results) -> Vec<u8> {
    let figures = figures(&results.rubric);
    let left = ["名次", "学校标识码", "学校", "学段"].map(str::to_owned);
    let mut heading = left.to_vec();
    heading.extend(figures.iter().map(|figure| text(&figure.heading())));
    heading.extend(summary::RIGHT.map(str::to_owned));
    let mut rows = vec![heading];
    for ranked in results.ranked() {
        rows.push(summary_row(ranked, &figures));
    }
    for (name, over) in [
        ("平均", average as fn(&[Points]) -> Option<Points>),
        ("合计", |all| Some(sum(all))),
    ] {
        let mut row = [name, "", "", ""].map(str::to_owned).to_vec();
        let shown = summary::totals(results, &figures, over);
        row.extend(shown.into_iter().map(Option::unwrap_or_default));
        row.extend([String::new(), String::new()]);
        rows.push(row);
    }
    csv(rows)
}

fn summary_row(ranked: Ranked<'_>, figures: &[Figure<'_>]) -> Vec<String> {
    let (school, sheet) = (&ranked.of.school, &ranked.of.sheet);
    let mut row = vec![
        ranked.rank.to_string(),
        text(school.code.as_str()),
        text(&school.name),
        school.stage.name().to_owned(),
    ];
    let shown = figures.iter().map(|figure| figure.of(sheet));
    let shown = shown.chain([Some(sheet.total)]);
    row.extend(shown.map(|points| points.map(|it| it.to_string()).unwrap_or_default()));
    let monitoring = ranked.of.monitoring.as_ref();
    let beside = [
        monitoring.map(|score| display(score.average)),
        monitoring.map(|score| display(score.stage_points)),
    ];
    row.extend(beside.map(Option::unwrap_or_default));
    row
}

/// Every item of every school as CSV, one a row.
#[must_use]
pub fn items_csv(results: &Results) -> Vec<u8> {
    let heading = [
        "名次",
        "学校标识码",
        "学校",
        "学段",
        "一级指标",
        "二级指标",
        "条目",
        "考核内容",
        "满分",
        "计分",
        "状态",
        "说明",
        "缺少材料",
        "一级指标计入",
        "总分",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for ranked in results.ranked() {
        for (of, indicator, item) in items(results) {
            let sheet = &ranked.of.sheet;
            let (Some(score), Some(group)) = (
                sheet.item(&item.id),
                sheet.groups.iter().find(|group| group.id == of.id),
            ) else {
                continue;
            };
            let school = &ranked.of.school;
            rows.push(vec![
                ranked.rank.to_string(),
                text(school.code.as_str()),
                text(&school.name),
                school.stage.name().to_owned(),
                text(&of.name),
                text(indicator.title(of)),
                text(&item.id),
                text(&item.text),
                item.max().map(|most| most.to_string()).unwrap_or_default(),
                score.points.to_string(),
                state(score.state).to_owned(),
                text(&score.reason),
                text(&score.missing.join("、")),
                group.points.to_string(),
                sheet.total.to_string(),
            ]);
        }
    }
    csv(rows)
}

fn items(results: &Results) -> impl Iterator<Item = (&Group, &Indicator, &Item)> {
    results.rubric.groups.iter().flat_map(|group| {
        let indicators = group.indicators.iter();
        indicators.flat_map(move |one| one.items.iter().map(move |item| (group, one, item)))
    })
}

const fn state(state: ItemState) -> &'static str {
    match state {
        ItemState::Scored => "已计分",
        ItemState::NotApplicable => "含不适用",
        ItemState::Missing => "缺少材料",
        ItemState::Vetoed => "一票否决",
    }
}

/// A figure: as every sheet shows it, and as it is.
#[derive(Serialize)]
struct Shown {
    points: String,
    exact: Points,
}

impl From<Points> for Shown {
    fn from(points: Points) -> Self {
        Self {
            points: points.to_string(),
            exact: points,
        }
    }
}

#[derive(Serialize)]
struct JsonResults<'a> {
    county: &'a str,
    run: &'a str,
    period: Period,
    state: &'a str,
    rubric: JsonRubric<'a>,
    schools: Vec<JsonSchool<'a>>,
    average: Vec<JsonFigure>,
    sum: Vec<JsonFigure>,
}

#[derive(Serialize)]
struct JsonRubric<'a> {
    id: &'a str,
    title: &'a str,
    total: Shown,
}

/// A column of the summary over all schools; the last is the total.
#[derive(Serialize)]
struct JsonFigure {
    heading: String,
    points: Option<String>,
}

#[derive(Serialize)]
struct JsonSchool<'a> {
    rank: usize,
    code: &'a str,
    name: &'a str,
    stage: &'static str,
    township: &'a str,
    score: Shown,
    monitoring: Option<JsonMonitoring<'a>>,
    groups: Vec<JsonGroup<'a>>,
}

#[derive(Serialize)]
struct JsonMonitoring<'a> {
    /// Minutes per terminal per teaching day.
    average: Shown,
    points: Shown,
    stage_points: Shown,
    reason: &'a str,
}

#[derive(Serialize)]
struct JsonGroup<'a> {
    id: &'a str,
    name: &'a str,
    weight: Shown,
    score: Shown,
    uncapped: Shown,
    indicators: Vec<JsonIndicator<'a>>,
}

#[derive(Serialize)]
struct JsonIndicator<'a> {
    id: &'a str,
    name: &'a str,
    weight: Shown,
    score: Shown,
    items: Vec<JsonItem<'a>>,
}

#[derive(Serialize)]
struct JsonItem<'a> {
    id: &'a str,
    max: Option<Shown>,
    score: Shown,
    state: ItemState,
    reason: &'a str,
    missing: &'a [String],
}

/// Everything as JSON: each figure as the text that sheets show, and exact.
#[must_use]
pub fn json(results: &Results) -> Vec<u8> {
    let figures = figures(&results.rubric);
    let over = |over: fn(&[Points]) -> Option<Points>| {
        let headings = figures.iter().map(|figure| figure.heading());
        let headings = headings.chain([summary::RIGHT[0].to_owned()]);
        let shown = summary::totals(results, &figures, over);
        let both = headings.zip(shown);
        both.map(|(heading, points)| JsonFigure { heading, points })
            .collect()
    };
    let ranked = results.ranked();
    let all = JsonResults {
        county: &results.county,
        run: &results.run,
        period: results.period,
        state: &results.state,
        rubric: JsonRubric {
            id: &results.rubric.id,
            title: &results.rubric.title,
            total: results.rubric.total.into(),
        },
        schools: ranked.into_iter().map(|one| school(results, one)).collect(),
        average: over(average),
        sum: over(|all| Some(sum(all))),
    };
    // Texts and whole numbers always have a JSON.
    serde_json::to_vec_pretty(&all).unwrap_or_default()
}

fn school<'a>(results: &'a Results, ranked: Ranked<'a>) -> JsonSchool<'a> {
    let one = &ranked.of.school;
    let groups = ranked.of.sheet.groups.iter();
    JsonSchool {
        rank: ranked.rank,
        code: one.code.as_str(),
        name: &one.name,
        stage: one.stage.name(),
        township: &one.township,
        score: ranked.of.sheet.total.into(),
        monitoring: ranked.of.monitoring.as_ref().map(|score| JsonMonitoring {
            average: Points::exactly(score.average).into(),
            points: Points::exactly(score.points).into(),
            stage_points: Points::exactly(score.stage_points).into(),
            reason: &score.reason,
        }),
        groups: groups.filter_map(|score| group(results, score)).collect(),
    }
}

fn group<'a>(results: &'a Results, score: &'a GroupScore) -> Option<JsonGroup<'a>> {
    let of = results.rubric.groups.iter().find(|of| of.id == score.id)?;
    let indicators = score.indicators.iter();
    Some(JsonGroup {
        id: &of.id,
        name: &of.name,
        weight: of.weight.into(),
        score: score.points.into(),
        uncapped: score.uncapped.into(),
        indicators: indicators
            .filter_map(|score| indicator(of, score))
            .collect(),
    })
}

fn indicator<'a>(group: &'a Group, score: &'a IndicatorScore) -> Option<JsonIndicator<'a>> {
    let of = group.indicators.iter().find(|of| of.id == score.id)?;
    let item = |score: &'a ItemScore| {
        let item = of.items.iter().find(|item| item.id == score.id)?;
        Some(JsonItem {
            id: &item.id,
            max: item.max().map(Shown::from),
            score: score.points.into(),
            state: score.state,
            reason: &score.reason,
            missing: &score.missing,
        })
    };
    Some(JsonIndicator {
        id: &of.id,
        name: of.title(group),
        weight: of.weight.into(),
        score: score.points.into(),
        items: score.items.iter().filter_map(item).collect(),
    })
}
