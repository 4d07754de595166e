//! The county's runs, and the form that makes one.

use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, Method},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;

use super::{opened, state};
use crate::{
    access::{self, Reach, Who},
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form, guard,
        layout::Page,
        pages::county_form,
        table::{Cell, Column, Table, answer},
        text,
    },
    domain::{
        access::Permission,
        calendar::Term,
        rubric::{self, Rubric},
        usage::Period,
    },
    evaluation::{self, Created, NewEvaluation, Unfit},
    store::{ContentDigest, County, Run},
};

/// What the address asks for beside the filters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    /// The frozen run that a new one is to correct.
    supersedes: String,
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let may = guard::may(&at, &headers, Permission::ManageRuns);
    let (counties, county) = filters.county(&at).await?;
    let runs = at.store().runs(&county.code).await?;
    let table = table(&runs, &at);
    let correcting = runs
        .iter()
        .find(|run| asked.supersedes == run.id.to_string() && run.frozen().is_some());
    let form = if may && filters.format.is_empty() {
        create_form(&at, &county, &runs, correcting).await?
    } else {
        html! {}
    };
    answer(&filters, &[&table], county.code.as_str(), || {
        let page = Page {
            title: "考核".to_owned(),
            lead: "先建草稿,填材料,核对最高校,再冻结;冻结后不再改动,更正另建一次。".to_owned(),
            current: "/runs",
            ..Page::default()
        };
        page.markup(&html! {
            @if filters.done == "discarded" { p.good role="status" { "草稿已删除。" } }
            (county_form("/runs", &counties, Some(&county)))
            section.card aria-labelledby="runs" { (table.html(&filters.query())) }
            @if may {
                section.card aria-labelledby="create" { (form) }
            } @else {
                p.note { (guard::only_looks(&at)) "。" }
            }
            p.note { "评分依据:" a href="/rubric" { "考核评估细则" } "。" }
        })
    })
}

/// A run's name, which leads to all of it, or to what a school's own people see.
fn name_cell(run: &Run) -> Cell {
    let who = access::current();
    let own = match who.as_ref().map(Who::reach) {
        Some(Reach::School(code, _)) => format!("/runs/{}/schools/{code}", run.id),
        _ => format!("/runs/{}", run.id),
    };
    let opens = guard::opens(&Method::GET, "/runs/{run}");
    if opens || own.contains("/schools/") {
        Cell::link(run.name.clone(), &own)
    } else {
        run.name.clone().into()
    }
}

fn table(runs: &[Run], at: &Context) -> Table {
    let zone = &at.parts.zone;
    let row = |run: &Run| {
        let freeze = run.frozen();
        let digest = freeze.map_or_else(String::new, |freeze| freeze.digest.to_string());
        let short: String = digest.chars().take(16).collect();
        let corrected = run
            .supersedes
            .map_or_else(String::new, |id| format!("第 {id} 号"));
        vec![
            name_cell(run),
            Cell::from(run.id.to_string()),
            state(run).into(),
            format!("{} 至 {}", run.period.first, run.period.last).into(),
            corrected.into(),
            format!("{} {}", text::moment(run.at, zone), run.by).into(),
            freeze
                .map_or_else(String::new, |one| {
                    format!("{} {}", text::moment(one.at, zone), one.by)
                })
                .into(),
            Cell::drawn(digest, html! { code { (short) } }),
        ]
    };
    Table {
        key: "runs",
        caption: "历次考核".to_owned(),
        columns: vec![
            Column::Head("名称"),
            Column::Number("编号"),
            Column::Text("状态"),
            Column::Text("考核期"),
            Column::Text("更正"),
            Column::Text("建立"),
            Column::Text("冻结"),
            Column::Text("摘要"),
        ],
        rows: runs.iter().map(row).collect(),
        empty: "还没有考核。",
    }
}

/// A school year or a term that a run may cover.
struct Choice {
    name: String,
    period: Period,
}

/// School years first: a run covers one unless the county says otherwise (R5).
fn choices(terms: &[Term]) -> Vec<Choice> {
    let year = |pair: &[Term]| match pair {
        // A school year begins in autumn.
        [autumn, spring] if autumn.first.month() >= 7 && spring.first.month() < 7 => Some(Choice {
            name: format!("学年:{} 和 {}", autumn.name, spring.name),
            period: Period {
                first: autumn.first,
                last: spring.last,
            },
        }),
        _ => None,
    };
    let mut all: Vec<Choice> = terms.windows(2).filter_map(year).collect();
    all.extend(terms.iter().map(|term| Choice {
        name: format!("学期:{}", term.name),
        period: Period {
            first: term.first,
            last: term.last,
        },
    }));
    all.reverse();
    all
}

/// Rubrics that a run may be scored by: digest, title, and whether it is the built-in one.
pub(super) async fn rubrics(at: &Context) -> Result<Vec<(ContentDigest, Rubric, bool)>, Failure> {
    let built_in = ContentDigest::of(rubric::DEFAULT.as_bytes());
    let mut texts = vec![(built_in, rubric::DEFAULT.to_owned())];
    for one in at.store().rubrics().await? {
        if one.digest != built_in {
            texts.push((one.digest, one.text));
        }
    }
    // One that can't be read any more hides no other.
    let read = |(digest, text): (ContentDigest, String)| {
        Some((digest, Rubric::parse(&text).ok()?, digest == built_in))
    };
    Ok(texts.into_iter().filter_map(read).collect())
}

async fn create_form(
    at: &Context,
    county: &County,
    runs: &[Run],
    correcting: Option<&Run>,
) -> Result<Markup, Failure> {
    let calendar = at.store().calendar(&county.code).await?;
    let terms = calendar
        .as_ref()
        .map_or(&[][..], |stored| stored.calendar.terms());
    let rubrics = rubrics(at).await?;
    let frozen: Vec<&Run> = runs.iter().filter(|run| run.frozen().is_some()).collect();
    let own = correcting.map(|run| run.rubric);
    Ok(html! {
        h2 #create { @if correcting.is_some() { "新建更正考核" } @else { "新建考核" } }
        @if let Some(run) = correcting {
            p.note {
                "更正第 " (run.id) " 号“" (run.name) "”:材料和排除从它带过来,改好后另行冻结,原考核保留不动。"
            }
        }
        form.filters method="post" action="/runs" {
            input type="hidden" name="county" value=(county.code);
            label.wide-field { "名称"
                input type="text" name="name" required maxlength="100" placeholder="如 2025-2026学年考核"
                    value=[correcting.map(|run| format!("{}(更正)", run.name))];
            }
            label { "考核期" select name="span" {
                option value="" { "自选日期" }
                @for choice in choices(terms) {
                    option value={ (choice.period.first) "_" (choice.period.last) } { (choice.name) }
                }
            } }
            label { "从" input type="date" name="from" value=[correcting.map(|run| run.period.first)]; }
            label { "到" input type="date" name="to" value=[correcting.map(|run| run.period.last)]; }
            label { "细则" select name="rubric" {
                @for (digest, rubric, built_in) in &rubrics {
                    option value=(digest) selected[own == Some(*digest)] {
                        (rubric.id) " " (rubric.title) @if *built_in { "(程序自带)" }
                    }
                }
            } }
            @if !frozen.is_empty() {
                label { "更正哪一次" select name="supersedes" {
                    option value="" { "不是更正" }
                    @for run in &frozen {
                        option value=(run.id) selected[correcting.is_some_and(|one| one.id == run.id)] { (run.id) " " (run.name) }
                    }
                } }
                label { "使用分钟取自" select name="minutes_from" {
                    option value="" { "现在的记录" }
                    @for run in &frozen {
                        option value=(run.id) { "第 " (run.id) " 号冻结时的记录" }
                    }
                } }
            }
            (form::who_field())
            button.primary type="submit" { "建立草稿" }
        }
        p.note { "考核期可以选学年、学期,或填起止日期(填了日期以日期为准)。考核期结束后的次日起可以冻结。" }
    })
}

/// A run to make.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct CreateForm {
    county: String,
    name: String,
    #[serde(default)]
    span: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    rubric: String,
    #[serde(default)]
    supersedes: String,
    #[serde(default)]
    minutes_from: String,
    by: String,
}

impl CreateForm {
    fn period(&self) -> Result<Period, Failure> {
        let days = (
            form::day("开始日期", &self.from)?,
            form::day("结束日期", &self.to)?,
        );
        match days {
            (Some(first), Some(last)) => Ok(Period { first, last }),
            (None, None) => self.chosen(),
            _ => Err(Failure::field("考核期", "起止日期要同时填写")),
        }
    }

    fn chosen(&self) -> Result<Period, Failure> {
        let day = |text: &str| text.parse::<Date>().ok();
        let both = self.span.split_once('_');
        both.and_then(|(first, last)| {
            Some(Period {
                first: day(first)?,
                last: day(last)?,
            })
        })
        .ok_or_else(|| Failure::field("考核期", "请选择学年或学期,或填写起止日期"))
    }

    fn run(what: &'static str, text: &str) -> Result<Option<i64>, Failure> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |_error| Failure::field(what, "请从列表中选择");
        text.parse().map(Some).map_err(wrong)
    }

    /// The same form again is the same run: a second click makes no second one.
    fn key(&self, period: Period) -> String {
        let Self {
            name,
            rubric,
            supersedes,
            minutes_from,
            ..
        } = self;
        let Period { first, last } = period;
        let said = format!("{name}\n{first}\n{last}\n{rubric}\n{supersedes}\n{minutes_from}");
        ContentDigest::of(said.as_bytes()).to_string()
    }
}

/// Makes a draft.
pub(in crate::dashboard) async fn create(
    State(at): State<Context>,
    Form(form): Form<CreateForm>,
) -> Result<Response, Failure> {
    let county = form::county(&at, &form.county).await?;
    let name = form.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Failure::field("名称", "请写 1 至 100 字"));
    }
    let period = form.period()?;
    let chosen: Result<ContentDigest, _> = form.rubric.parse();
    let chosen = chosen.map_err(|_error| Failure::field("细则", "请从列表中选择"))?;
    let built_in = ContentDigest::of(rubric::DEFAULT.as_bytes());
    let new = NewEvaluation {
        key: form.key(period),
        county,
        name,
        period,
        // The built-in one is kept as it is chosen.
        rubric: (chosen != built_in).then_some(chosen),
        supersedes: CreateForm::run("更正哪一次", &form.supersedes)?,
        minutes_from: CreateForm::run("使用分钟取自", &form.minutes_from)?,
        by: form::who(&form.by)?,
        at: at.parts.clock.now().as_second(),
    };
    let created = evaluation::create(at.store(), new).await?;
    tracing::info!(run = created.run.id, "a run was made on the dashboard");
    if created.left_out.is_empty() {
        let to = format!("/runs/{}?done=created", created.run.id);
        return Ok(Redirect::to(&to).into_response());
    }
    Ok(left_out(&created))
}

/// What of the corrected run does not fit the new one: nobody's word goes without being told.
fn left_out(created: &Created) -> Response {
    let row = |one: &Unfit| {
        vec![
            Cell::from(one.school.to_string()),
            one.item.clone().into(),
            one.key.clone().into(),
            one.problem.clone().into(),
        ]
    };
    let table = Table {
        key: "left_out",
        caption: "没有沿用的材料".to_owned(),
        columns: vec![
            Column::Head("学校标识码"),
            Column::Text("条目"),
            Column::Text("提问"),
            Column::Long("原因"),
        ],
        rows: created.left_out.iter().map(row).collect(),
        empty: "",
    };
    let page = super::page(&created.run, super::Tab::Summary);
    let markup = page.markup(&html! {
        p.good role="status" { "草稿已建立。以下材料不合本次细则或学校名单,没有沿用,请核对后重新填写。" }
        section.card { h2 { (table.caption) } (table.bare()) }
        p { a.button href={ "/runs/" (created.run.id) } { "打开本次考核" } }
    });
    Html(markup.into_string()).into_response()
}

/// Removes a draft.
pub(in crate::dashboard) async fn discard(
    State(at): State<Context>,
    axum::extract::Path(run): axum::extract::Path<String>,
) -> Result<Redirect, Failure> {
    let run = opened(&at, &run).await?;
    super::draft(&run)?;
    at.store().discard_run(run.id).await?;
    tracing::info!(run = run.id, "a draft was removed on the dashboard");
    Ok(Redirect::to("/runs?done=discarded"))
}
