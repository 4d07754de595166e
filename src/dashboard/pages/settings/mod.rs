//! 设置: tables of schools and terminals, moves, the teaching calendar, enrolment codes.

pub(in crate::dashboard) mod codes;
pub(in crate::dashboard) mod days;
pub(in crate::dashboard) mod moves;
pub(in crate::dashboard) mod users;

use std::collections::{HashMap, HashSet};

use axum::{
    Form,
    extract::{Multipart, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    access,
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form, guard,
        layout::Page,
        pages::county_form,
        table::{Cell, Column, Table, answer},
        translate,
    },
    domain::{
        access::Permission,
        calendar::{Calendar, CalendarError},
        ids::{SchoolCode, Stage},
    },
    registry::{self, ImportError, ImportReport},
    store::{County, School, StoredCalendar, TerminalFilter},
};

/// What a form before came to, shown in its part of the page.
#[derive(Debug, Default)]
struct Told {
    import: Option<Markup>,
    calendar: Option<Markup>,
    /// A calendar's text that was not stored: it stays in the field.
    text: Option<String>,
    code: Option<Markup>,
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if !filters.format.is_empty() && filters.table == TERMINALS {
        let table = terminals_table(&at, &filters).await?;
        return answer(&filters, &[&table], &at.today().to_string(), || html! {});
    }
    let may = guard::may(&at, &headers, Permission::ManageRegistry);
    let known = Known::read(&at, &filters).await?;
    let tables = [known.schools_table(), codes::table(&known, &at, may)];
    let all: Vec<&Table> = tables.iter().collect();
    answer(&filters, &all, &at.today().to_string(), || {
        known.page(&filters, &tables, may, &Told::default())
    })
}

/// What the page is about.
struct Known {
    /// `None` before the first import.
    county: Option<County>,
    counties: Vec<County>,
    schools: Vec<School>,
    calendar: Option<StoredCalendar>,
    codes: Vec<crate::store::EnrolmentCode>,
    terminals: HashMap<SchoolCode, u64>,
    today: Date,
    /// What is said where nothing can be changed.
    only_looks: String,
}

impl Known {
    async fn read(at: &Context, filters: &Filters) -> Result<Self, Failure> {
        let today = at.today();
        let mut known = Self {
            county: None,
            counties: at.store().counties().await?,
            schools: Vec::new(),
            calendar: None,
            codes: if access::may(Permission::ManageCodes) {
                at.store().codes(None).await?
            } else {
                Vec::new()
            },
            terminals: HashMap::new(),
            today,
            only_looks: guard::only_looks(at),
        };
        if known.counties.is_empty() {
            return Ok(known);
        }
        let (_, county) = filters.county(at).await?;
        known.schools = at.store().schools(&county.code).await?;
        known.calendar = at.store().calendar(&county.code).await?;
        for span in at.store().service_spans(&county.code).await? {
            if span.service.contains(today) {
                *known.terminals.entry(span.school).or_default() += span.terminals;
            }
        }
        known.county = Some(county);
        Ok(known)
    }

    fn schools_table(&self) -> Table {
        let row = |school: &School| {
            vec![
                Cell::link(school.name.clone(), &format!("/schools/{}", school.code)),
                school.code.to_string().into(),
                school.stage.to_string().into(),
                school.township.clone().into(),
                Cell::count(self.terminals.get(&school.code).copied().unwrap_or(0)),
            ]
        };
        Table {
            key: "schools",
            caption: "已登记学校".to_owned(),
            columns: vec![
                Column::Head("学校名称"),
                Column::Text("学校标识码"),
                Column::Text("学段"),
                Column::Text("乡镇"),
                Column::Number("在用终端"),
            ],
            rows: self.schools.iter().map(row).collect(),
            empty: "还没有登记学校。",
        }
    }

    fn page(&self, filters: &Filters, tables: &[Table; 2], may: bool, told: &Told) -> Markup {
        let page = Page {
            title: "设置".to_owned(),
            current: "/settings",
            ..Page::default()
        };
        let [schools, codes] = tables;
        page.markup(&html! {
            @if !may { p.notice.card role="status" { (self.only_looks) "。" } }
            (county_form("/settings", &self.counties, self.county.as_ref()))
            section.card aria-labelledby="import" {
                h2 #import { "导入学校表与终端表" }
                (import_part(may))
                @if let Some(told) = &told.import { (told) }
                details { summary { "已登记学校 " (self.schools.len()) " 所" } (schools.html(&filters.query())) }
                @if !self.schools.is_empty() {
                    p.note {
                        "已登记终端(格式同终端表,可改后再导入):"
                        @for (format, name) in [("csv", "CSV"), ("xlsx", "XLSX")] {
                            " " a.export href={ "?" (filters.query()) "&format=" (format) "&table=" (TERMINALS) } download="" { "下载 " (name) span.unseen { ":已登记终端" } }
                        }
                    }
                }
            }
            @if may && self.county.is_some() {
                section.card aria-labelledby="moves" {
                    (moves::part(&self.schools, self.today, &filters.terminal))
                    @if filters.done == "moved" {
                        p.good role="status" { "已登记 " (filters.counted) " 台终端的变动。" }
                    }
                }
            }
            section.card aria-labelledby="calendar" {
                h2 #calendar { "教学日历" }
                (self.calendar_part(may, told))
                @if filters.done == "days" { p.good role="status" { "已保存,以前的时长随之重新计算。" } }
            }
            @if access::may(Permission::ManageCodes) { section.card aria-labelledby="codes" {
                (codes.html(&filters.query()))
                @if let Some(told) = &told.code { (told) }
                @if may { (codes::form(&self.schools)) }
            } }
        })
    }

    fn calendar_part(&self, may: bool, told: &Told) -> Markup {
        let Some(county) = &self.county else {
            return html! { p.empty { "请先导入学校表。" } };
        };
        let stored = self.calendar.as_ref();
        let text = told.text.as_deref();
        let text = text.or_else(|| stored.map(|stored| stored.text.as_str()));
        let field = html! {
            label { "日历内容"
                textarea name="text" rows="18" spellcheck="false" readonly[!may] { (text.unwrap_or(EXAMPLE)) }
            }
        };
        html! {
            @match stored {
                Some(stored) => {
                    p.note { "现行第 " (stored.version) " 版:" (stored.calendar.name()) "。保存后形成新的一版,以前的时长随之重新计算。" }
                    (calendar_summary(&stored.calendar, self.today))
                    (days::part(county, stored, self.today, may))
                }
                None => { p.note { "还没有教学日历:没有它就不知道哪些天、哪些时段计入。" } }
            }
            @if let Some(told) = &told.calendar { (told) }
            // Whoever keeps days by form seldom needs the file; who begins, or has a mistake to mend, does.
            details open[stored.is_none() || told.text.is_some()] {
                summary { "日历文件(学期、作息时间、计时规则)" }
                @if may {
                    form method="post" action="/settings/calendar" {
                        input type="hidden" name="county" value=(county.code);
                        input type="hidden" name="version" value=(version(stored));
                        (field)
                        p.buttons {
                            button type="submit" name="do" value="check" { "检查" }
                            button.primary type="submit" name="do" value="save" { "保存" }
                        }
                    }
                } @else {
                    (field)
                }
            }
        }
    }
}

/// What `?table=` asks for where the terminals are wanted: too many for the page.
const TERMINALS: &str = "terminals";

/// Where the county's terminals stand and stood, as the table that is imported has it.
async fn terminals_table(at: &Context, filters: &Filters) -> Result<Table, Failure> {
    let (_, county) = filters.county(at).await?;
    let schools = at.store().schools(&county.code).await?;
    let codes: HashSet<&SchoolCode> = schools.iter().map(|school| &school.code).collect();
    let mut rows = Vec::new();
    for terminal in at.store().terminals(&TerminalFilter::default()).await? {
        let mut places = terminal.placements.iter();
        if !places.any(|place| codes.contains(&place.school)) {
            continue;
        }
        // All of its rows: together they are its history, also where an import takes them.
        for place in &terminal.placements {
            rows.push(vec![
                Cell::from(terminal.id.to_string()),
                place.school.to_string().into(),
                place.room.clone().into(),
                place.from.to_string().into(),
                place
                    .to
                    .map_or_else(String::new, |to| to.to_string())
                    .into(),
            ]);
        }
    }
    Ok(Table {
        key: TERMINALS,
        caption: "已登记终端".to_owned(),
        columns: vec![
            Column::Head("终端编号"),
            Column::Text("学校标识码"),
            Column::Text("教室"),
            Column::Text("启用日期"),
            Column::Text("停用日期"),
        ],
        rows,
        empty: "还没有登记终端。",
    })
}

/// Where a bureau begins that has no calendar yet.
const EXAMPLE: &str = include_str!("../../../../deploy/calendar/example.toml");

fn import_part(may: bool) -> Markup {
    html! {
        p.note {
            "支持 .xlsx 和“CSV UTF-8”。学校表的列:区县代码、区县名称、乡镇、学校标识码、学校名称、学段;终端表的列:终端编号、学校标识码、教室、启用日期、停用日期。"
            "有一处错误就整份不导入,所有错误会列出。"
        }
        @if may {
            form.filters method="post" action="/settings/import" enctype="multipart/form-data" {
                label { "表格文件" input type="file" name="file" required accept=".csv,.xlsx"; }
                button type="submit" name="do" value="check" { "先检查" }
                button.primary type="submit" name="do" value="import" { "导入" }
            }
        }
    }
}

/// Terms with their teaching days by stage.
fn calendar_summary(calendar: &Calendar, today: Date) -> Markup {
    let days = |stage, term: &crate::domain::calendar::Term| {
        calendar.teaching_days(stage, term.first, term.last).count()
    };
    html! {
        div.scroll tabindex="0" role="group" aria-label="各学期教学日数" { table {
            caption.unseen { "各学期教学日数" }
            thead { tr {
                th scope="col" { "学期" } th scope="col" { "起止" }
                @for stage in [Stage::Primary, Stage::Junior, Stage::Senior] {
                    th.num scope="col" { (stage.name()) "教学日" }
                }
            } }
            tbody { @for term in calendar.terms() {
                tr {
                    th scope="row" {
                        (term.name)
                        @if term.first <= today && today <= term.last { " " span.badge { "本学期" } }
                    }
                    td.line { (term.first) " 至 " (term.last) }
                    @for stage in [Stage::Primary, Stage::Junior, Stage::Senior] {
                        td.num { (days(stage, term)) }
                    }
                }
            } }
        } }
    }
}

/// Tries a table, and takes it where it has no mistake and that was asked for.
pub(in crate::dashboard) async fn import(
    State(at): State<Context>,
    form: Multipart,
) -> Result<Response, Failure> {
    let upload = form::upload(form).await?;
    if upload.content.is_empty() {
        return Err(Failure::field("表格文件", "请选择一个有内容的文件"));
    }
    let check = upload.action != "import";
    let report = registry::import(at.store(), &upload.content, None, &upload.name, check).await;
    let report = report.map_err(|ImportError::Store(error)| Failure::Store(error))?;
    if report.applied {
        at.freshen().await?;
    }
    let status = if report.errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let told = Told {
        import: Some(import_told(&report, &upload.name)),
        ..Told::default()
    };
    answer_with(&at, &Filters::default(), status, told).await
}

/// The page after a form, for whoever was let through.
async fn answer_with(
    at: &Context,
    filters: &Filters,
    status: StatusCode,
    told: Told,
) -> Result<Response, Failure> {
    let known = Known::read(at, filters).await?;
    let tables = [known.schools_table(), codes::table(&known, at, true)];
    let page = known.page(filters, &tables, true, &told);
    Ok((status, axum::response::Html(page.into_string())).into_response())
}

fn import_told(report: &ImportReport, name: &str) -> Markup {
    if report.errors.is_empty() {
        let (verb, more) = if report.applied {
            ("已导入", "。")
        } else {
            ("检查通过", ",还没有导入:确认后请点“导入”。")
        };
        return html! {
            p.good role="status" {
                (verb) " " (name) ":新增 " (report.added) " 行,更改 " (report.changed) " 行,未变 " (report.unchanged) " 行" (more)
            }
        };
    }
    let row = |error: &registry::RowError| {
        let at = match error.row {
            0 => "整个文件".to_owned(),
            row => row.to_string(),
        };
        vec![
            at.into(),
            error.sheet.clone().into(),
            error.column.clone().into(),
            error.message.clone().into(),
        ]
    };
    let table = Table {
        key: "errors",
        caption: "导入错误".to_owned(),
        columns: vec![
            Column::Head("行"),
            Column::Text("工作表"),
            Column::Text("列"),
            Column::Long("错误与改法"),
        ],
        rows: report.errors.iter().map(row).collect(),
        empty: "",
    };
    html! {
        p.bad role="alert" { (name) " 有 " (report.errors.len()) " 处错误,没有导入任何一行。请改正后重新导入。" }
        (table.bare())
    }
}

/// A calendar's text.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct CalendarForm {
    county: String,
    /// Of the calendar that was looked at; 0 where there was none.
    version: i64,
    text: String,
    #[serde(rename = "do", default)]
    action: String,
}

/// Which calendar this is: forms say which they were made for. 0 where there is none.
fn version(stored: Option<&StoredCalendar>) -> i64 {
    stored.map_or(0, |stored| stored.version)
}

/// Checks a calendar, and puts it in force where that was asked for.
pub(in crate::dashboard) async fn calendar(
    State(at): State<Context>,
    Form(form): Form<CalendarForm>,
) -> Result<Response, Failure> {
    let county = form::county(&at, &form.county).await?;
    let filters = Filters {
        county: county.to_string(),
        ..Filters::default()
    };
    // Browsers send a field's lines with CRLF; the stored text is the bureau's own.
    let text = form.text.replace("\r\n", "\n");
    let checked = match Calendar::parse(&text) {
        Ok(checked) => checked,
        Err(error) => {
            let told = Told {
                calendar: Some(calendar_wrong(&error)),
                text: Some(text),
                ..Told::default()
            };
            return answer_with(&at, &filters, StatusCode::UNPROCESSABLE_ENTITY, told).await;
        }
    };
    let mut told = Told::default();
    if form.action == "save" {
        let before = at.store().calendar(&county).await?;
        if version(before.as_ref()) != form.version {
            let told = Told {
                calendar: Some(html! {
                    p.bad role="alert" { "教学日历刚刚被改过,没有保存。您写的还在下面:与上面现行的核对后,再次保存会替换它。" }
                }),
                text: Some(text),
                ..Told::default()
            };
            return answer_with(&at, &filters, StatusCode::CONFLICT, told).await;
        }
        let now = at.parts.clock.now().as_second();
        let version = at.store().set_calendar(&county, &text, now).await?;
        tracing::info!(%county, version, "a calendar was stored on the dashboard");
        told.calendar = Some(html! { p.good role="status" { "已保存为第 " (version) " 版。" } });
    } else {
        told.calendar = Some(html! {
            p.good role="status" { "检查通过,还没有保存。按此日历:" }
            (calendar_summary(&checked, at.today()))
        });
        told.text = Some(text);
    }
    answer_with(&at, &filters, StatusCode::OK, told).await
}

fn calendar_wrong(error: &CalendarError) -> Markup {
    let said = translate::calendar(error);
    html! {
        div.bad role="alert" {
            p { "日历有错误,没有保存。" (said.sentence) }
            @if let Some(excerpt) = said.excerpt { pre { (excerpt) } }
        }
    }
}
