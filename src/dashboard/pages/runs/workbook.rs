//! The evidence workbook: out with what is known or empty, in after a preview of what it changes.
//!
//! The preview carries the file along, so that exactly what was looked at is what is taken. Not responsible for
//! reading it (`sheets`), nor for what fits (`evaluation`).

use axum::{
    extract::{Multipart, Path, Query, State},
    http::StatusCode,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{Markup, html};
use serde::Deserialize;

use super::{SHOWN, draft, evidence, files::unwritten, opened};
use crate::{
    dashboard::{
        Context,
        failure::Failure,
        filters::Filters,
        form::{self, Upload},
        table::{Cell, Column, Table, attachment},
    },
    domain::rubric::{ItemEvidence, evidence::LIST},
    evaluation::{self, Entry, Form},
    sheets::evidence::{self as sheet, CellFault, Change, Origin, Reading},
    store::Run,
    tasks::blocking,
};

/// Largest file that a preview carries along; a larger one is chosen again.
const CARRIED: usize = 1024 * 1024;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    /// Anything, for the template.
    empty: String,
}

/// The workbook to fill in.
pub(in crate::dashboard) async fn download(
    State(at): State<Context>,
    Path(run): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    let form = evaluation::form(at.store(), run.id).await?;
    let empty = !asked.empty.is_empty();
    let what = if empty {
        "材料表模板"
    } else {
        "材料表"
    };
    let name = format!("{} {what}.xlsx", form.name.replace(['/', '\\', ':'], "-"));
    let made = blocking(move || {
        let origin = Origin::of(&form, empty);
        sheet::workbook(&form.rubric, &form.schools, &form.evidence, &origin).map_err(unwritten)
    });
    let content = made.await?;
    Ok(attachment(&format!("evidence-{}", run.id), &name, content))
}

/// Checks a filled workbook, or takes one that was checked.
pub(in crate::dashboard) async fn upload(
    State(at): State<Context>,
    Path(run): Path<String>,
    form: Multipart,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    draft(&run)?;
    let mut upload = form::upload(form).await?;
    let field = |upload: &Upload, name| upload.fields.get(name).cloned().unwrap_or_default();
    let by = form::who(&field(&upload, "by"))?;
    if upload.content.is_empty() {
        let packed = STANDARD.decode(field(&upload, "packed"));
        upload.content = packed.unwrap_or_default();
        upload.name = field(&upload, "name");
    }
    if upload.content.is_empty() {
        return Err(Failure::field("材料表", "请选择填好的 .xlsx 文件"));
    }
    let now = at.parts.clock.now().as_second();
    let form = evaluation::form(at.store(), run.id).await?;
    let (content, who) = (upload.content.clone(), by.clone());
    let read = blocking(move || {
        let own = Origin::of(&form, false);
        let known = &form.evidence;
        let read = sheet::read(
            &form.rubric,
            &form.schools,
            known,
            &own,
            &who,
            now,
            &content,
        );
        Ok::<_, Failure>((form, read))
    });
    let (form, read) = read.await?;
    let reading = match read {
        Ok(reading) => reading,
        Err(faults) => return Ok(told(&run, &form, &wrong(&upload.name, &faults), true)),
    };
    let looked_at = field(&upload, "revision") == form.revision.to_string();
    if upload.action == "apply" && looked_at {
        return apply(&at, &run, &form, &reading).await;
    }
    let preview = preview(&run, &form, &upload, &by, &reading);
    Ok(told(&run, &form, &preview, false))
}

async fn apply(
    at: &Context,
    run: &Run,
    form: &Form,
    reading: &Reading,
) -> Result<Response, Failure> {
    let entries = reading.changes.iter().cloned().map(|one| Entry {
        school: one.school,
        item: one.item,
        evidence: one.evidence,
    });
    let revision = Some(form.revision);
    evaluation::enter(at.store(), run.id, revision, entries.collect()).await?;
    let (changed, removed) = (reading.changes.len(), reading.removed());
    tracing::info!(
        run = run.id,
        changed,
        "a workbook of evidence was taken on the dashboard"
    );
    let to = format!(
        "/runs/{}/evidence?done=imported&tried={changed}&counted={removed}",
        run.id
    );
    Ok(Redirect::to(&to).into_response())
}

fn told(run: &Run, form: &Form, told: &Markup, wrong: bool) -> Response {
    let table = evidence::table(run, form);
    let page = evidence::markup(run, &table, true, &Filters::default(), told);
    let status = if wrong {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    (status, Html(page.into_string())).into_response()
}

fn wrong(name: &str, faults: &[CellFault]) -> Markup {
    let row = |one: &CellFault| {
        vec![
            Cell::from(one.sheet.clone()),
            Cell::count(one.row),
            one.column.clone().into(),
            one.heading.clone().into(),
            one.problem.clone().into(),
        ]
    };
    let table = Table {
        key: "errors",
        caption: "材料表的错误".to_owned(),
        columns: vec![
            Column::Head("工作表"),
            Column::Number("行"),
            Column::Text("列"),
            Column::Long("列名"),
            Column::Long("错误与改法"),
        ],
        rows: faults.iter().map(row).collect(),
        empty: "",
    };
    html! {
        p.bad role="alert" { (name) " 有 " (faults.len()) " 处错误,没有导入任何内容。请改正后重新导入。" }
        (table.bare())
    }
}

fn preview(run: &Run, form: &Form, upload: &Upload, by: &str, reading: &Reading) -> Markup {
    let table = changes(form, &reading.changes);
    let carried = upload.content.len() <= CARRIED;
    html! {
        @if reading.changes.is_empty() {
            p.good role="status" { (upload.name) " 检查通过,与已有材料相同,没有要写入的内容。" }
        } @else {
            p.good role="status" {
                (upload.name) " 检查通过,还没有写入:" (reading.changes.len()) " 条材料有变化,其中删除 " (reading.removed()) " 条。"
            }
        }
        @if let Some(note) = reading.note() { p.notice { (note) } }
        @if !reading.changes.is_empty() {
            form.filters method="post" action={ "/runs/" (run.id) "/workbook" } enctype="multipart/form-data" {
                input type="hidden" name="by" value=(by);
                input type="hidden" name="revision" value=(form.revision);
                input type="hidden" name="name" value=(upload.name);
                @if carried {
                    input type="hidden" name="packed" value=(STANDARD.encode(&upload.content));
                } @else {
                    label { "再次选择同一文件" input type="file" name="file" required accept=".xlsx"; }
                }
                button.primary type="submit" name="do" value="apply" { "确认写入这 " (reading.changes.len()) " 条" }
            }
            h3 { "将要写入的变化" }
            (table.first(SHOWN).bare())
            @if table.rows.len() > SHOWN { p.note { "共 " (table.rows.len()) " 行,这里只列前 " (SHOWN) " 行。" } }
            @if !reading.overwritten.is_empty() { (overwritten(reading)) }
        }
    }
}

/// Cells of a workbook that is not the latest, where somebody else may have written since.
fn overwritten(reading: &Reading) -> Markup {
    let row = |one: &sheet::Overwritten| {
        vec![
            Cell::from(one.sheet.clone()),
            Cell::count(one.row),
            format!("{} {}", one.column, one.heading).into(),
            one.kept.clone().into(),
        ]
    };
    let table = Table {
        key: "overwritten",
        caption: "将被替换的原有内容".to_owned(),
        columns: vec![
            Column::Head("工作表"),
            Column::Number("行"),
            Column::Long("列"),
            Column::Long("原有内容"),
        ],
        rows: reading.overwritten.iter().take(SHOWN).map(row).collect(),
        empty: "",
    };
    html! { h3 { (table.caption) } (table.bare()) }
}

/// What would be another, question by question.
fn changes(form: &Form, changes: &[Change]) -> Table {
    let mut rows = Vec::new();
    for one in changes {
        let school = form.schools.iter().find(|school| school.code == one.school);
        let school = school.map_or_else(|| one.school.to_string(), |school| school.name.clone());
        let before = form.evidence.get(&one.school);
        let before = lines(before.and_then(|all| all.get(&one.item)));
        let after = lines(one.evidence.as_ref());
        let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (old, new) = (before.get(key), after.get(key));
            // A list that differs may have as many rows as before.
            if old == new && key != LIST {
                continue;
            }
            let said = |text: Option<&String>| text.cloned().unwrap_or_else(|| "(空)".to_owned());
            rows.push(vec![
                Cell::from(school.clone()),
                one.item.clone().into(),
                key.clone().into(),
                said(old).into(),
                said(new).into(),
            ]);
        }
    }
    Table {
        key: "changes",
        caption: "将要写入的变化".to_owned(),
        columns: vec![
            Column::Head("学校"),
            Column::Text("条目"),
            Column::Long("提问"),
            Column::Long("原来"),
            Column::Long("改为"),
        ],
        rows,
        empty: "",
    }
}

fn lines(evidence: Option<&ItemEvidence>) -> std::collections::BTreeMap<String, String> {
    let Some(evidence) = evidence else {
        return std::collections::BTreeMap::new();
    };
    let answers = evidence.values.iter();
    let answers = answers.map(|(key, value)| (key.clone(), value.to_string()));
    let around = [
        ("材料依据", evidence.source.clone()),
        ("附件", evidence.attachments.join("、")),
    ];
    let around = around.into_iter().filter(|(_, text)| !text.is_empty());
    answers
        .chain(around.map(|(key, text)| (key.to_owned(), text)))
        .collect()
}
