//! 操作记录: who did what, when, from where. For auditors; changes nothing.

use axum::{
    extract::{Query, State},
    response::{IntoResponse as _, Response},
};
use jiff::{ToSpan as _, civil::Date};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    access::audit,
    dashboard::{
        Context,
        failure::Failure,
        layout::Page,
        table::{Cell, Column, Table, attachment},
        text,
    },
    sheets::table as sheet,
    store::{AuditFilter, Head, MAX_ENTRIES, Recorded},
};

/// Most entries on the page; an export has more.
const SHOWN: u32 = 500;

/// Characters of one side of a change that are shown at once.
const BRIEF: usize = 100;

/// Days that the page shows unless asked otherwise.
const DAYS: i64 = 7;

/// What is asked for; empty where nothing is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    from: String,
    to: String,
    who: String,
    action: String,
    format: String,
}

fn day(what: &'static str, text: &str, otherwise: Date) -> Result<Date, Failure> {
    if text.is_empty() {
        return Ok(otherwise);
    }
    let parsed = text.parse();
    parsed.map_err(|_error| Failure::field(what, "请写成 2026-09-01 这样的日期"))
}

/// An action in Chinese.
pub(in crate::dashboard) fn action(key: &str) -> &'static str {
    ACTIONS
        .iter()
        .find(|(known, _)| *known == key)
        .map_or("其他", |(_, name)| name)
}

/// What is recorded.
const ACTIONS: [(&str, &str); 31] = [
    ("login", "登录"),
    ("login.failed", "登录失败"),
    ("logout", "退出"),
    ("account.add", "新建账号"),
    ("account.change", "更改账号"),
    ("account.reset", "重置密码"),
    ("account.link", "生成设置链接"),
    ("account.setup", "设置账号"),
    ("account.password", "更改密码"),
    ("token.add", "新建令牌"),
    ("token.revoke", "收回令牌"),
    ("registry.change", "更改登记"),
    ("calendar.set", "更改教学日历"),
    ("code.add", "生成注册码"),
    ("code.revoke", "收回注册码"),
    ("key.revoke", "作废终端密钥"),
    ("key.restore", "恢复终端密钥"),
    ("key.renew", "更换终端密钥"),
    ("quarantine.replay", "重放隔离数据"),
    ("retention.keep_from", "清理旧数据"),
    ("retention.evaluated", "登记已考核时段"),
    ("rubric.put", "保存评分细则"),
    ("run.create", "新建考核"),
    ("run.discard", "删除考核草稿"),
    ("run.freeze", "考核定稿"),
    ("evidence.put", "填写考核材料"),
    ("exclusion.add", "排除终端日"),
    ("exclusion.remove", "取消排除"),
    ("export", "导出"),
    ("backup", "备份"),
    ("restore", "恢复备份"),
];

/// The page.
pub(in crate::dashboard) async fn page(
    State(at): State<Context>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let today = at.today();
    let last = day("结束日期", &asked.to, today)?;
    let first = day(
        "开始日期",
        &asked.from,
        last.saturating_sub((DAYS - 1).days()),
    )?;
    let midnight = |day: Date| {
        let midnight = day.to_zoned_datetime(at.parts.zone.clone());
        let midnight = midnight.map_err(|_range| Failure::field("日期", "超出范围"))?;
        Ok::<_, Failure>(midnight.timestamp().as_second())
    };
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let exports = matches!(asked.format.as_str(), "csv" | "xlsx");
    let filter = AuditFilter {
        since: midnight(first)?,
        until: midnight(last.saturating_add(1.day()))?,
        who: given(&asked.who),
        action: given(&asked.action),
        limit: if exports { MAX_ENTRIES } else { SHOWN },
    };
    let found = at.store().audit(&filter).await?;
    if exports {
        return file(&asked, (first, last), &found, &at);
    }
    let head = at.store().audit_head().await?;
    let page = Page {
        title: "操作记录".to_owned(),
        lead: "谁在何时、从哪里做了什么。记录只增不改,逐条相扣,改动会被 classpulse audit verify 发现。".to_owned(),
        current: "/audit",
        ..Page::default()
    };
    let content = content(&asked, (first, last), &found, head, &at);
    Ok(page.html(&content).into_response())
}

/// The entries with all that is known of them.
fn file(
    asked: &Asked,
    (first, last): (Date, Date),
    found: &[Recorded],
    at: &Context,
) -> Result<Response, Failure> {
    let zone = &at.parts.zone;
    let caption = "操作记录";
    let unwritten = || Failure::field("导出", "无法生成文件");
    let content = if asked.format == "csv" {
        audit::csv(found, zone).map_err(|_error| unwritten())?
    } else {
        let columns = audit::HEADINGS.map(|heading| sheet::Column {
            heading,
            figures: false,
        });
        let rows: Vec<_> = found.iter().map(|one| audit::cells(one, zone)).collect();
        let rows: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| row.iter().map(String::as_str).collect())
            .collect();
        let about = format!("{first} 至 {last}");
        sheet::xlsx(caption, &about, &columns, &rows).map_err(|_error| unwritten())?
    };
    let name = format!("{caption}_{first}_{last}.{}", asked.format);
    Ok(attachment(&format!("audit_{first}_{last}"), &name, content))
}

fn content(
    asked: &Asked,
    (first, last): (Date, Date),
    found: &[Recorded],
    head: Head,
    at: &Context,
) -> Markup {
    let query = |format| {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("from", &first.to_string())
            .append_pair("to", &last.to_string())
            .append_pair("who", &asked.who)
            .append_pair("action", &asked.action)
            .append_pair("format", format)
            .append_pair("table", "audit")
            .finish()
    };
    html! {
        section.card aria-labelledby="audit" {
            form.filters method="get" action="/audit" aria-label="筛选" {
                label { "从" input type="date" name="from" value=(first); }
                label { "到" input type="date" name="to" value=(last); }
                label { "谁" input type="text" name="who" value=(asked.who) maxlength="64" spellcheck="false"; }
                label { "操作" select name="action" {
                    option value="" { "全部" }
                    @for (key, name) in ACTIONS { option value=(key) selected[asked.action == key] { (name) } }
                } }
                button type="submit" { "筛选" }
            }
            div.table-head {
                h2 #audit { "操作记录" }
                @if !found.is_empty() {
                    span.exports {
                        @for (format, name) in [("csv", "CSV"), ("xlsx", "XLSX")] {
                            a.export href={ "?" (query(format)) } download="" { "下载 " (name) span.unseen { ":操作记录" } }
                        }
                    }
                }
            }
            (table(found, at).bare())
            @if found.len() as u64 >= u64::from(SHOWN) {
                p.note { "只列出最近 " (SHOWN) " 条,更早的请缩小日期范围,或下载文件(最多 " (MAX_ENTRIES) " 条;下载本身也会记录)。" }
            }
            p.note { "末端:第 " (head.number) " 条,校验值 " code.hash { (head.hash) } "。请定期抄存于别处。" }
        }
    }
}

/// One side of a change; a long one is opened by whoever wants it.
fn side(text: &str) -> Markup {
    match text.char_indices().nth(BRIEF) {
        None => html! { small.side { (text) } },
        Some((end, _)) => html! {
            details.side {
                summary { small { (text[..end]) "…" } }
                small { (text) }
            }
        },
    }
}

fn table(found: &[Recorded], at: &Context) -> Table {
    let row = |one: &Recorded| {
        let entry = &one.entry;
        let change = html! {
            @if !entry.before.is_empty() { div { "原:" (side(&entry.before)) } }
            @if !entry.after.is_empty() { div { (side(&entry.after)) } }
        };
        vec![
            one.number.to_string().into(),
            text::moment(entry.at, &at.parts.zone).into(),
            entry.who.clone().into(),
            entry.origin.clone().into(),
            action(&entry.action).into(),
            entry.target.clone().into(),
            Cell::shown(change),
        ]
    };
    Table {
        key: "audit",
        caption: "操作记录".to_owned(),
        columns: vec![
            Column::Number("编号"),
            Column::Text("时间"),
            Column::Head("谁"),
            Column::Text("来自"),
            Column::Text("操作"),
            Column::Long("对象"),
            Column::Long("变化"),
        ],
        rows: found.iter().map(row).collect(),
        empty: "这段时间没有符合条件的记录。",
    }
}
