//! `evidence`: workbooks out and in, and one item at a time. Not responsible for what is fit (`domain::rubric`).

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED, USAGE,
    args::{EvidenceCommand, ImportEvidenceArgs, SetEvidenceArgs, WorkbookArgs},
    output::{self, print, table},
};
use crate::{
    domain::{
        ids::SchoolCode,
        rubric::{Decimal, Field, FieldKind, ItemEvidence, Value},
    },
    evaluation::{self, Entry, EvaluationError, Form},
    observe::chain,
    sheets::evidence as sheet,
};

pub(super) async fn evidence(at: &Opened, command: &EvidenceCommand) -> Result<(), Failure> {
    match command {
        EvidenceCommand::Template(arguments) => workbook(at, arguments, true).await,
        EvidenceCommand::Export(arguments) => workbook(at, arguments, false).await,
        EvidenceCommand::Import(arguments) => import(at, arguments).await,
        EvidenceCommand::Set(arguments) => set(at, arguments).await,
        EvidenceCommand::List { run, school } => list(at, *run, school.as_ref()).await,
    }
}

async fn workbook(at: &Opened, arguments: &WorkbookArgs, empty: bool) -> Result<(), Failure> {
    let mut form = evaluation::form(at.store.as_ref(), arguments.run).await?;
    if empty {
        form.evidence.clear();
    }
    let content = sheet::workbook(&form.rubric, &form.schools, &form.evidence)
        .map_err(|error| Failure::said(FAILED, chain(&error)))?;
    output::file(at, &arguments.out, &content).await
}

async fn import(at: &Opened, arguments: &ImportEvidenceArgs) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let content = tokio::fs::read(&arguments.file)
        .await
        .map_err(|error| Failure::said(FAILED, format!("{name}: {error}")))?;
    let form = evaluation::form(at.store.as_ref(), arguments.run).await?;
    let Form {
        rubric,
        schools,
        evidence,
        revision,
    } = form;
    let now = at.now.as_second();
    let changes = match sheet::read(&rubric, &schools, &evidence, &arguments.by, now, &content) {
        Ok(changes) => changes,
        Err(faults) => {
            if at.json {
                output::json(&json!({ "faults": faults }))?;
            } else {
                let mut rows = table(&["工作表", "行", "列", "问题"], 99);
                for fault in &faults {
                    rows.add_row([
                        fault.sheet.clone(),
                        fault.row.to_string(),
                        format!("{} {}", fault.column, fault.heading),
                        fault.problem.clone(),
                    ]);
                }
                print(&rows.to_string());
            }
            let message = format!("{name}: {} 处错误,未导入任何内容", faults.len());
            return Err(Failure::said(REFUSED, message));
        }
    };
    let count = changes.len();
    if !arguments.dry_run && count > 0 {
        let entries = changes.into_iter().map(|one| Entry {
            school: one.school,
            item: one.item,
            evidence: one.evidence,
        });
        let store = at.store.as_ref();
        evaluation::enter(store, arguments.run, Some(revision), entries.collect()).await?;
    }
    if at.json {
        return output::json(&json!({ "changed": count, "applied": !arguments.dry_run }));
    }
    let verb = if arguments.dry_run {
        "检查通过(未写入)"
    } else {
        "已导入"
    };
    print(&format!("{verb}:{count} 条材料有变化"));
    Ok(())
}

async fn set(at: &Opened, arguments: &SetEvidenceArgs) -> Result<(), Failure> {
    let store = at.store.as_ref();
    let form = evaluation::form(store, arguments.run).await?;
    let item = form
        .rubric
        .item(&arguments.item)
        .ok_or_else(|| Failure::said(REFUSED, format!("细则没有条目 {}", arguments.item)))?;
    let fields = item.fields();
    let mut values = BTreeMap::new();
    for answer in &arguments.answers {
        let (key, text) = answer
            .split_once('=')
            .ok_or_else(|| Failure::said(USAGE, format!("“{answer}”应写作 提问=回答")))?;
        let field = fields
            .iter()
            .find(|field| field.key == key)
            .ok_or_else(|| {
                let known: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
                let problem = format!("{} 没有“{key}”,可填:{}", arguments.item, known.join("、"));
                Failure::said(REFUSED, problem)
            })?;
        let value = value(field, text).map_err(|problem| {
            Failure::said(REFUSED, format!("{} {key}:{problem}", arguments.item))
        })?;
        values.insert(key.to_owned(), value);
    }
    let nothing =
        values.is_empty() && arguments.source.is_empty() && arguments.attachment.is_empty();
    let entry = Entry {
        school: arguments.school.clone(),
        item: arguments.item.clone(),
        evidence: (!nothing).then(|| ItemEvidence {
            values,
            source: arguments.source.clone(),
            attachments: arguments.attachment.clone(),
            by: arguments.by.clone(),
            at: at.now.as_second(),
        }),
    };
    let revision = match evaluation::enter(store, arguments.run, None, vec![entry]).await {
        Ok(entered) => entered.revision,
        Err(EvaluationError::Unfit(unfit)) => {
            let problems = unfit
                .iter()
                .map(|one| format!("{} {}:{}", one.item, one.key, one.problem));
            let problems: Vec<String> = problems.collect();
            return Err(Failure::said(REFUSED, problems.join("\n")));
        }
        Err(error) => return Err(error.into()),
    };
    if at.json {
        return output::json(&json!({ "revision": revision }));
    }
    let what = if nothing { "已清除" } else { "已记录" };
    print(&format!(
        "{what} {} 的 {}",
        arguments.school, arguments.item
    ));
    Ok(())
}

/// An answer as a person types it.
fn value(field: &Field, text: &str) -> Result<Value, String> {
    if text == "不适用" {
        return Ok(Value::NotApplicable);
    }
    let decimal = |text: &str| text.parse::<Decimal>().map_err(|error| error.to_string());
    Ok(match &field.kind {
        FieldKind::YesNo => match text {
            "是" => Value::YesNo(true),
            "否" => Value::YesNo(false),
            _ => return Err("应为“是”或“否”".to_owned()),
        },
        FieldKind::Count => Value::Count(
            text.parse()
                .map_err(|_no_count| "应为不小于 0 的整数".to_owned())?,
        ),
        FieldKind::Number => Value::Number(decimal(text)?),
        FieldKind::Choice(_) => Value::Choice(text.to_owned()),
        FieldKind::Points { .. } => Value::Points(decimal(text)?),
        FieldKind::Text => Value::Text(text.to_owned()),
        FieldKind::List { .. } => {
            return Err("名单请用工作簿导入(classpulse evidence import)".to_owned());
        }
    })
}

async fn list(at: &Opened, run: i64, school: Option<&SchoolCode>) -> Result<(), Failure> {
    let form = evaluation::form(at.store.as_ref(), run).await?;
    if let Some(school) = school
        && !form.schools.iter().any(|one| one.code == *school)
    {
        return Err(Failure::said(REFUSED, format!("考核中没有学校 {school}")));
    }
    let wanted = form
        .schools
        .iter()
        .filter(|one| school.is_none_or(|school| one.code == *school));
    let nothing = BTreeMap::new();
    let (mut shown, mut rows) = (
        Vec::new(),
        table(
            &[
                "学校标识码",
                "学校",
                "条目",
                "提问",
                "回答",
                "依据",
                "填报人",
                "时间",
            ],
            99,
        ),
    );
    for one in wanted {
        let known = form.evidence.get(&one.code).unwrap_or(&nothing);
        for item in form.rubric.items() {
            let Some(evidence) = known.get(&item.id) else {
                continue;
            };
            shown.push(json!({ "school": one.code, "item": item.id, "evidence": evidence }));
            for field in item.fields() {
                let Some(value) = evidence.values.get(&field.key) else {
                    continue;
                };
                rows.add_row([
                    one.code.to_string(),
                    one.name.clone(),
                    item.id.clone(),
                    field.key.clone(),
                    said(value),
                    evidence.source.clone(),
                    evidence.by.clone(),
                    at.local(evidence.at),
                ]);
            }
        }
    }
    if at.json {
        return output::json(&shown);
    }
    print(&rows.to_string());
    Ok(())
}

fn said(value: &Value) -> String {
    match value {
        Value::YesNo(true) => "是".to_owned(),
        Value::YesNo(false) => "否".to_owned(),
        Value::Count(count) => count.to_string(),
        Value::Number(number) | Value::Points(number) => number.to_string(),
        Value::Choice(text) | Value::Text(text) => text.clone(),
        Value::NotApplicable => "不适用".to_owned(),
        Value::List(rows) => format!("名单 {} 行", rows.len()),
    }
}
