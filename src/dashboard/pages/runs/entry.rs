//! One school's evidence as a form: typed fields from the rubric's questions, every mistake beside its field, and nothing
//! kept before all of it is sound.
//!
//! Lists of awards are rows of their own (`awards`). Not responsible for what fits (`evaluation`).

use std::collections::{BTreeMap, HashMap};

use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};

use super::{
    Tab,
    awards::{self, Rows},
    differences, draft, opened,
    rubric::most,
    school_code, school_page, tabs,
};
use crate::{
    dashboard::{Context, failure::Failure, filters::Filters, form as forms, guard, text},
    domain::{
        access::Permission,
        ids::SchoolCode,
        rubric::{
            Field, FieldKind, Item, ItemEvidence, SchoolEvidence,
            evidence::{EvidenceFault, MAX_TEXT, NOT_APPLICABLE, attachments, check, expected},
        },
    },
    evaluation::{self, Changes, Entry, EvaluationError, Form as Known},
    sheets::evidence::list::Listed,
    store::{ContentDigest, Run, School},
};

/// What a browser sent: the name of a field → its text.
pub(super) type Typed = HashMap<String, String>;

/// A form and what is to stand in it.
struct Sheet<'a> {
    run: &'a Run,
    school: &'a School,
    form: &'a Known,
    /// What is kept.
    known: &'a SchoolEvidence,
    /// What was typed and not kept.
    typed: Option<&'a Typed>,
    /// By item.
    faults: BTreeMap<String, Vec<EvidenceFault>>,
    may: bool,
    at: &'a Context,
}

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Path((run, code)): Path<(String, String)>,
    Query(filters): Query<Filters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    let form = evaluation::form(at.store(), run.id).await?;
    let code = school_code(&code)?;
    let nothing = SchoolEvidence::new();
    let sheet = Sheet {
        run: &run,
        school: school(&form, &code)?,
        form: &form,
        known: form.evidence.get(&code).unwrap_or(&nothing),
        typed: None,
        faults: BTreeMap::new(),
        may: guard::may(&at, &headers, Permission::EnterEvidence) && run.frozen().is_none(),
        at: &at,
    };
    let told = html! {
        @if filters.done == "saved" {
            p.good role="status" {
                @if filters.counted == 0 { "没有改动,未写入。" } @else { "已保存 " (filters.counted) " 条。" }
            }
        }
    };
    Ok(Html(sheet.markup(&told).into_string()).into_response())
}

fn school<'a>(form: &'a Known, code: &SchoolCode) -> Result<&'a School, Failure> {
    let found = form.schools.iter().find(|school| school.code == *code);
    Ok(found.ok_or_else(|| EvaluationError::Unknown {
        what: "school",
        id: code.to_string(),
    })?)
}

/// Keeps what was typed, all or nothing.
pub(in crate::dashboard) async fn save(
    State(at): State<Context>,
    Path((run, code)): Path<(String, String)>,
    Form(typed): Form<Typed>,
) -> Result<Response, Failure> {
    let run = opened(&at, &run).await?;
    draft(&run)?;
    let trying = typed.get("do").is_some_and(|button| button == "try");
    let more = awards::asked_for_more(typed.get("do")).is_some();
    let by = match typed.get("by").map(String::as_str) {
        // Nobody's word is kept of it.
        _ if trying || more => "试算".to_owned(),
        by => forms::who(by.unwrap_or_default())?,
    };
    let form = evaluation::form(at.store(), run.id).await?;
    let code = school_code(&code)?;
    let nothing = SchoolEvidence::new();
    let mut sheet = Sheet {
        run: &run,
        school: school(&form, &code)?,
        form: &form,
        known: form.evidence.get(&code).unwrap_or(&nothing),
        typed: Some(&typed),
        faults: BTreeMap::new(),
        may: true,
        at: &at,
    };
    if typed.get("seen") != Some(&seen(sheet.known)) {
        let told = html! {
            p.bad role="alert" {
                "有人在您打开本页之后改过本校材料,还没有保存。您填的内容仍在下面,请与旁边的“现有”核对后再保存。"
            }
        };
        return Ok(sheet.refused(&told, StatusCode::CONFLICT));
    }
    if more {
        return Ok(sheet.refused(&html! {}, StatusCode::OK));
    }
    let entries = sheet.entries(&by);
    if sheet.faults.is_empty() && trying {
        let told = tried(&at, &run, entries).await?;
        return Ok(sheet.refused(&told, StatusCode::OK));
    }
    if sheet.faults.is_empty() {
        let revision = Some(form.revision);
        match evaluation::enter(at.store(), run.id, revision, entries).await {
            Ok(entered) => {
                tracing::info!(run = run.id, school = %code, changed = entered.changed, "evidence was entered on the dashboard");
                let here = format!("/runs/{}/schools/{code}/evidence", run.id);
                let to = format!("{here}?done=saved&counted={}", entered.changed);
                return Ok(Redirect::to(&to).into_response());
            }
            Err(EvaluationError::Unfit(unfit)) => {
                for one in unfit {
                    let fault = EvidenceFault {
                        key: one.key,
                        problem: one.problem,
                    };
                    sheet.faults.entry(one.item).or_default().push(fault);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let count: usize = sheet.faults.values().map(Vec::len).sum();
    let told = html! {
        div.bad role="alert" {
            p { "有 " (count) " 处要改,什么都没有保存:" }
            ul {
                @for (item, faults) in &sheet.faults { @for fault in faults {
                    li { a href={ "#i-" (item) } { (item) } " " (fault.key) @if !fault.key.is_empty() { ":" } (fault.problem) }
                } }
            }
        }
    };
    Ok(sheet.refused(&told, StatusCode::UNPROCESSABLE_ENTITY))
}

/// What every school's points would be with what was typed; nothing is kept.
async fn tried(at: &Context, run: &Run, entries: Vec<Entry>) -> Result<Markup, Failure> {
    let loaded = at.loaded(run.clone()).await?;
    let changes = Changes {
        evidence: entries,
        ..Changes::default()
    };
    let mut found = evaluation::what_if_of(at.store(), loaded, changes).await?;
    found.schools.retain(|one| one.before != one.after);
    let table = differences("what-if", "试算前后", &found.schools);
    Ok(html! {
        section.card aria-labelledby="tried" {
            h2 #tried { "试算前后(没有保存)" }
            @if found.schools.is_empty() {
                p role="status" { "按填写的内容,各校总分都不变。" }
            } @else {
                p role="status" { "按填写的内容,有 " (found.schools.len()) " 所学校的总分会变:" }
                (table.bare())
            }
        }
    })
}

/// What of a school's evidence was looked at: another digest means that somebody wrote in between.
fn seen(known: &SchoolEvidence) -> String {
    // Maps of texts always become JSON.
    let text = serde_json::to_string(known).unwrap_or_default();
    ContentDigest::of(text.as_bytes()).to_string()
}

/// Names of fields: the rubric of a run never changes, so places say which.
fn answer_name(item: usize, field: usize) -> String {
    format!("a{item}.{field}")
}

impl Sheet<'_> {
    fn items(&self) -> impl Iterator<Item = (usize, &Item)> {
        let items = self.form.rubric.items().enumerate();
        items.filter(|(_, item)| !item.fields().is_empty())
    }

    /// Each item with what was typed put over what is kept; what can't be read becomes a fault.
    fn entries(&mut self, by: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut faults = BTreeMap::new();
        for (at, item) in self.items() {
            let known = self.known.get(&item.id);
            let (mut new, mut wrong) = self.put_over(at, item, known);
            by.clone_into(&mut new.by);
            new.at = self.at.parts.clock.now().as_second();
            if wrong.is_empty() {
                wrong = check(&self.form.rubric, self.school.stage, item, &new);
            }
            if !wrong.is_empty() {
                faults.insert(item.id.clone(), wrong);
            }
            let empty =
                new.values.is_empty() && new.source.is_empty() && new.attachments.is_empty();
            entries.push(Entry {
                school: self.school.code.clone(),
                item: item.id.clone(),
                evidence: (!empty).then_some(new),
            });
        }
        self.faults = faults;
        entries
    }

    fn put_over(
        &self,
        at: usize,
        item: &Item,
        known: Option<&ItemEvidence>,
    ) -> (ItemEvidence, Vec<EvidenceFault>) {
        let mut new = known.cloned().unwrap_or_default();
        let mut faults = Vec::new();
        if let Some(listed) = Listed::of(item) {
            faults = Rows::new(at, listed, known, self.typed).put_over(&mut new);
        }
        for (number, field) in item.fields().iter().enumerate() {
            let Some(text) = self.sent(&answer_name(at, number)) else {
                continue;
            };
            if text.is_empty() {
                new.values.remove(&field.key);
                continue;
            }
            match field.read(text) {
                Ok(value) => {
                    new.values.insert(field.key.clone(), value);
                }
                Err(problem) => faults.push(EvidenceFault {
                    key: field.key.clone(),
                    problem,
                }),
            }
        }
        if let Some(text) = self.sent(&format!("s{at}")) {
            text.clone_into(&mut new.source);
        }
        if let Some(text) = self.sent(&format!("t{at}")) {
            new.attachments = attachments(text);
        }
        (new, faults)
    }

    fn sent(&self, name: &str) -> Option<&str> {
        let text = self.typed?.get(name)?;
        Some(text.trim())
    }

    fn refused(&self, told: &Markup, status: StatusCode) -> Response {
        (status, Html(self.markup(told).into_string())).into_response()
    }

    fn markup(&self, told: &Markup) -> Markup {
        let (run, code) = (self.run, &self.school.code);
        let back = format!("/runs/{}/schools/{code}", run.id);
        let way = vec![(back, self.school.name.clone())];
        let mut page = school_page(run, format!("{}的材料", self.school.name), way);
        page.lead = format!("{} · {}", self.school.stage, run.name);
        page.markup(&html! {
            (tabs(run, Tab::Evidence))
            (told)
            @if self.may {
                form.entry method="post" action={ "/runs/" (run.id) "/schools/" (code) "/evidence" } {
                    // What the Enter key presses: the first button of a form.
                    button.unseen type="submit" name="do" value="try" formnovalidate tabindex="-1" aria-hidden="true" { "试算" }
                    input type="hidden" name="seen" value=(seen(self.known));
                    (self.groups())
                    div.save {
                        (forms::who_field())
                        button type="submit" name="do" value="try" formnovalidate { "试算" }
                        button.primary type="submit" name="do" value="save" { "保存" }
                        span.note { "全部检查通过才会保存;空着的提问按 0 分计,以后可以再补。" }
                    }
                }
            } @else {
                (self.groups())
            }
        })
    }

    fn groups(&self) -> Markup {
        html! {
            @for group in &self.form.rubric.groups {
                section.card aria-labelledby={ "g-" (group.id) } {
                    h2 id={ "g-" (group.id) } { (group.id) " " (group) }
                    @for (at, item) in self.items() {
                        @if group.indicators.iter().any(|one| one.items.iter().any(|own| own.id == item.id)) {
                            (self.item(at, item))
                        }
                    }
                }
            }
        }
    }

    fn item(&self, at: usize, item: &Item) -> Markup {
        let nothing = Vec::new();
        let faults = self.faults.get(&item.id).unwrap_or(&nothing);
        let fields = item.fields();
        let whole = faults
            .iter()
            .filter(|fault| !fields.iter().any(|field| field.key == fault.key));
        let known = self.known.get(&item.id);
        let source = self.sent(&format!("s{at}"));
        let source = source.or(known.map(|known| known.source.as_str()));
        let kept = known.map(|known| known.attachments.join("\n"));
        let attached = self.sent(&format!("t{at}")).map(ToOwned::to_owned).or(kept);
        html! {
            fieldset id={ "i-" (item.id) } disabled[!self.may] class=[(!faults.is_empty()).then_some("wrong")] {
                legend { strong { (item.id) } " " (item.text) small { " 满分 " (most(item)) " · " (item.rule.kind()) } }
                @for fault in whole { p.fault { (fault.problem) } }
                div.answers {
                    @for (number, field) in fields.iter().enumerate() {
                        @if !matches!(field.kind, FieldKind::List { .. }) {
                            (self.field(&answer_name(at, number), field, known, faults))
                        }
                    }
                }
                @if let Some(listed) = Listed::of(item) {
                    (Rows::new(at, listed, known, self.typed).markup(faults, self.may))
                }
                details open[known.is_some() || !faults.is_empty()] {
                    summary { "材料依据与附件" }
                    div.answers.around {
                        label { "材料依据"
                            input type="text" name={ "s" (at) } maxlength=(MAX_TEXT) value=[source];
                        }
                        label { "附件(一行一个)"
                            textarea name={ "t" (at) } rows=(attached.as_deref().map_or(1, |all| all.lines().count().clamp(1, 4))) { (attached.unwrap_or_default()) }
                        }
                    }
                }
                @if let Some(known) = known {
                    p.note { (known.by) " 于 " (text::moment(known.at, &self.at.parts.zone)) " 填报" }
                }
            }
        }
    }

    fn field(
        &self,
        name: &str,
        field: &Field,
        known: Option<&ItemEvidence>,
        faults: &[EvidenceFault],
    ) -> Markup {
        let kept = known.and_then(|known| known.values.get(&field.key));
        let kept = kept.map(ToString::to_string);
        let value = self.sent(name).map(ToOwned::to_owned);
        let other = value.is_some() && kept.is_some() && value != kept;
        let value = value.or_else(|| kept.clone()).unwrap_or_default();
        let problems: Vec<&EvidenceFault> = faults
            .iter()
            .filter(|fault| fault.key == field.key)
            .collect();
        let wrong = !problems.is_empty();
        let said = format!("{name}-problem");
        let (invalid, described) = (wrong.then_some("true"), wrong.then_some(said.as_str()));
        html! {
            div.answer {
                label for=(name) { (field.key) }
                @match &field.kind {
                    FieldKind::YesNo => {
                        (choice(name, &value, &["是".to_owned(), "否".to_owned()], field.may_not_apply, invalid, described))
                    }
                    FieldKind::Choice(names) => {
                        (choice(name, &value, names, field.may_not_apply, invalid, described))
                    }
                    FieldKind::Text => {
                        textarea id=(name) name=(name) rows="1" maxlength=(MAX_TEXT) aria-invalid=[invalid] aria-describedby=[described] { (value) }
                    }
                    kind => {
                        input id=(name) type="text" name=(name) value=(value) inputmode="decimal" maxlength="20" size="9"
                            title={ "应为" (expected(kind)) } aria-invalid=[invalid] aria-describedby=[described]
                            placeholder=[field.may_not_apply.then_some("可填不适用")];
                    }
                }
                @if wrong {
                    p.fault id=(said) { @for problem in problems { (problem.problem) " " } }
                }
                @if other { p.note { "现有:" (kept.unwrap_or_default()) } }
            }
        }
    }
}

fn choice(
    name: &str,
    value: &str,
    names: &[String],
    may_not_apply: bool,
    invalid: Option<&str>,
    described: Option<&str>,
) -> Markup {
    let not_applicable = may_not_apply.then(|| NOT_APPLICABLE.to_owned());
    html! {
        select id=(name) name=(name) aria-invalid=[invalid] aria-describedby=[described] {
            option value="" { "未填" }
            @for one in names.iter().chain(&not_applicable) {
                option value=(one) selected[one == value] { (one) }
            }
        }
    }
}
