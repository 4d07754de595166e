//! `evidence`: workbooks out and in, and one item at a time. Not responsible for what is fit (`domain::rubric`).

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    FAILED, Failure, Opened, REFUSED, USAGE,
    args::{EvidenceCommand, ImportEvidenceArgs, ListEvidenceArgs, SetEvidenceArgs, WorkbookArgs},
    output::{self, print, table},
};
use crate::{
    domain::rubric::{Field, FieldKind, Item, ItemEvidence, Value, score},
    evaluation::{self, Entry, EvaluationError},
    observe::chain,
    sheets::evidence::{self as sheet, CellFault, Origin, Reading},
};

/// What `list` shows of an answer.
const LIST_HEADINGS: [&str; 9] = [
    "学校标识码",
    "学校",
    "条目",
    "提问",
    "回答",
    "依据",
    "附件",
    "填报人",
    "时间",
];

pub(super) async fn evidence(at: &Opened, command: &EvidenceCommand) -> Result<(), Failure> {
    match command {
        EvidenceCommand::Template(arguments) => workbook(at, arguments, true).await,
        EvidenceCommand::Export(arguments) => workbook(at, arguments, false).await,
        EvidenceCommand::Import(arguments) => import(at, arguments).await,
        EvidenceCommand::Set(arguments) => set(at, arguments).await,
        EvidenceCommand::List(arguments) => list(at, arguments).await,
    }
}

async fn workbook(at: &Opened, arguments: &WorkbookArgs, empty: bool) -> Result<(), Failure> {
    let form = evaluation::form(at.store.as_ref(), arguments.run).await?;
    let origin = Origin::of(&form, empty);
    let content = sheet::workbook(&form.rubric, &form.schools, &form.evidence, &origin)
        .map_err(|error| Failure::said(FAILED, chain(&error)))?;
    output::file(at, &arguments.out, &content).await
}

async fn import(at: &Opened, arguments: &ImportEvidenceArgs) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let content = tokio::fs::read(&arguments.file)
        .await
        .map_err(|error| Failure::said(FAILED, format!("{name}: {error}")))?;
    let form = evaluation::form(at.store.as_ref(), arguments.run).await?;
    let reading = sheet::read(
        &form.rubric,
        &form.schools,
        &form.evidence,
        &Origin::of(&form, false),
        &arguments.by,
        at.now.as_second(),
        &content,
    );
    let reading = match reading {
        Ok(reading) => reading,
        Err(faults) => {
            show_faults(at, &faults)?;
            let message = format!("{name}: {} 处错误,未导入任何内容", faults.len());
            return Err(Failure::said(REFUSED, message));
        }
    };
    if !arguments.dry_run && !reading.changes.is_empty() {
        let entries = reading.changes.iter().cloned().map(|one| Entry {
            school: one.school,
            item: one.item,
            evidence: one.evidence,
        });
        let (store, revision) = (at.store.as_ref(), Some(form.revision));
        evaluation::enter(store, arguments.run, revision, entries.collect()).await?;
    }
    show_import(at, &reading, arguments.dry_run)
}

fn show_faults(at: &Opened, faults: &[CellFault]) -> Result<(), Failure> {
    if at.json {
        return output::json(&json!({ "faults": faults }));
    }
    let mut rows = table(&["工作表", "行", "列", "问题"], 99);
    for fault in faults {
        rows.add_row([
            fault.sheet.clone(),
            fault.row.to_string(),
            format!("{} {}", fault.column, fault.heading),
            fault.problem.clone(),
        ]);
    }
    print(&rows.to_string());
    Ok(())
}

fn show_import(at: &Opened, reading: &Reading, dry_run: bool) -> Result<(), Failure> {
    let (changed, removed) = (reading.changes.len(), reading.removed());
    if at.json {
        return output::json(&json!({
            "changed": changed,
            "removed": removed,
            "left_alone": reading.left_alone,
            "overwritten": reading.overwritten,
            "note": reading.note(),
            "applied": !dry_run,
        }));
    }
    if !reading.overwritten.is_empty() {
        let mut rows = table(&["工作表", "行", "列", "原有内容"], 99);
        for cell in &reading.overwritten {
            rows.add_row([
                cell.sheet.clone(),
                cell.row.to_string(),
                format!("{} {}", cell.column, cell.heading),
                cell.kept.clone(),
            ]);
        }
        print(&rows.to_string());
    }
    let verb = if dry_run {
        "检查通过(未写入)"
    } else {
        "已导入"
    };
    print(&format!(
        "{verb}:{changed} 条材料有变化,其中删除 {removed} 条"
    ));
    if let Some(note) = reading.note() {
        print(&note);
    }
    Ok(())
}

async fn set(at: &Opened, arguments: &SetEvidenceArgs) -> Result<(), Failure> {
    let store = at.store.as_ref();
    let form = evaluation::form(store, arguments.run).await?;
    let item = form
        .rubric
        .item(&arguments.item)
        .ok_or_else(|| Failure::said(REFUSED, format!("细则没有条目 {}", arguments.item)))?;
    let known = form.evidence.get(&arguments.school);
    let known = known.and_then(|all| all.get(&arguments.item));
    let evidence = if arguments.clear {
        None
    } else {
        merged(item, known, arguments, at.now.as_second())?
    };
    let cleared = evidence.is_none();
    let entry = Entry {
        school: arguments.school.clone(),
        item: arguments.item.clone(),
        evidence,
    };
    // What was merged with is what it replaces.
    let revision = Some(form.revision);
    let entered = match evaluation::enter(store, arguments.run, revision, vec![entry]).await {
        Ok(entered) => entered,
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
        return output::json(
            &json!({ "revision": entered.revision, "changed": entered.changed, "cleared": cleared }),
        );
    }
    let what = if cleared { "已清除" } else { "已记录" };
    print(&format!(
        "{what} {} 的 {}",
        arguments.school, arguments.item
    ));
    Ok(())
}

/// What is known with what was typed put over it; `None` where nothing is left.
fn merged(
    item: &Item,
    known: Option<&ItemEvidence>,
    arguments: &SetEvidenceArgs,
    at: i64,
) -> Result<Option<ItemEvidence>, Failure> {
    let fields = item.fields();
    let mut evidence = known.cloned().unwrap_or_default();
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
        if text.is_empty() {
            evidence.values.remove(key);
            continue;
        }
        let value = value(field, text).map_err(|problem| {
            Failure::said(REFUSED, format!("{} {key}:{problem}", arguments.item))
        })?;
        evidence.values.insert(key.to_owned(), value);
    }
    if let Some(source) = &arguments.source {
        evidence.source.clone_from(source);
    }
    if !arguments.attachment.is_empty() {
        let given = arguments.attachment.iter().filter(|one| !one.is_empty());
        evidence.attachments = given.cloned().collect();
    }
    evidence.by.clone_from(&arguments.by);
    evidence.at = at;
    let empty =
        evidence.values.is_empty() && evidence.source.is_empty() && evidence.attachments.is_empty();
    Ok((!empty).then_some(evidence))
}

/// An answer as a person types it.
fn value(field: &Field, text: &str) -> Result<Value, String> {
    if matches!(field.kind, FieldKind::List { .. }) {
        return Err("名单请用工作簿导入(classpulse evidence import)".to_owned());
    }
    field.read(text)
}

async fn list(at: &Opened, arguments: &ListEvidenceArgs) -> Result<(), Failure> {
    let form = evaluation::form(at.store.as_ref(), arguments.run).await?;
    let school = arguments.school.as_ref();
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
    let (mut shown, mut rows) = (Vec::new(), table(&LIST_HEADINGS, 99));
    for one in wanted {
        let known = form.evidence.get(&one.code).unwrap_or(&nothing);
        let sheet = score(&form.rubric, one.stage, known, None);
        // 后台监测 asks nothing: nobody can fill it in.
        for item in form.rubric.items().filter(|item| !item.fields().is_empty()) {
            let evidence = known.get(&item.id);
            let missing = sheet.item(&item.id).map_or(&[][..], |score| &score.missing);
            let wanted = if arguments.missing {
                !missing.is_empty()
            } else {
                evidence.is_some() || !missing.is_empty()
            };
            if !wanted {
                continue;
            }
            shown.push(json!({
                "school": one.code, "item": item.id, "evidence": evidence, "missing": missing,
            }));
            for [question, answer] in lines(item, evidence, missing, arguments.missing) {
                let of = |text: fn(&ItemEvidence) -> String| evidence.map(text).unwrap_or_default();
                rows.add_row([
                    one.code.to_string(),
                    one.name.clone(),
                    item.id.clone(),
                    question,
                    answer,
                    of(|evidence| evidence.source.clone()),
                    of(|evidence| evidence.attachments.join("、")),
                    of(|evidence| evidence.by.clone()),
                    evidence.map_or_else(String::new, |evidence| at.local(evidence.at)),
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

/// Question and answer of an item, one a row: what is known, then what scoring lacks.
fn lines(
    item: &Item,
    evidence: Option<&ItemEvidence>,
    missing: &[String],
    only_missing: bool,
) -> Vec<[String; 2]> {
    let answers = evidence.filter(|_| !only_missing);
    let answers = answers.into_iter().flat_map(|evidence| {
        let fields = item.fields().into_iter();
        fields.filter_map(|field| {
            Some([
                field.key.clone(),
                evidence.values.get(&field.key)?.to_string(),
            ])
        })
    });
    let missing = missing.iter().map(|key| [key.clone(), "未填".to_owned()]);
    let mut lines: Vec<[String; 2]> = answers.chain(missing).collect();
    if lines.is_empty() {
        // Where answers come from, without any: still something that is kept.
        lines.push([String::new(), "未填".to_owned()]);
    }
    lines
}
