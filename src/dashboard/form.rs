//! Forms as they come in: a file with its fields, and the names of fields.

use std::collections::HashMap;

use axum::extract::{Multipart, multipart::MultipartError};
use jiff::civil::Date;
use maud::{Markup, html};

use super::{Context, failure::Failure};
use crate::{
    access,
    domain::ids::{CountyCode, SchoolCode},
    query,
};

/// An upload: the file and the button that sent it.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// As the browser names it.
    pub(super) name: String,
    /// Its content; empty where no file was chosen.
    pub(super) content: Vec<u8>,
    /// The value of the button `do`.
    pub(super) action: String,
    /// Its other fields.
    pub(super) fields: HashMap<String, String>,
}

/// The field that says who acts.
pub(super) fn who_field() -> Markup {
    let login = login();
    html! {
        // Whoever has logged in is who acts.
        label { "经办人" input type="text" name="by" value=[login.as_deref()] readonly[login.is_some()] required maxlength="60" size="12" autocomplete="name"; }
    }
}

fn login() -> Option<String> {
    Some(access::current()?.login()?.to_string())
}

/// Who acts: whoever has logged in; where nobody does, as the form says.
///
/// # Errors
/// A field that is empty or too long.
pub(super) fn who(by: &str) -> Result<String, Failure> {
    if let Some(login) = login() {
        return Ok(login);
    }
    let by = by.trim();
    if by.is_empty() || by.chars().count() > 60 || by.chars().any(char::is_control) {
        return Err(Failure::field("经办人", "请写 1 至 60 字"));
    }
    Ok(by.to_owned())
}

/// A day of a form; `None` where it is empty.
///
/// # Errors
/// A field that is no day.
pub(super) fn day(what: &'static str, text: &str) -> Result<Option<Date>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_error| Failure::field(what, "请写成 2026-09-01 这样的日期");
    text.parse().map(Some).map_err(wrong)
}

/// The county that a form is about.
///
/// # Errors
/// A field that names none that is registered.
pub(super) async fn county(at: &Context, code: &str) -> Result<CountyCode, Failure> {
    let code: Result<CountyCode, _> = code.parse();
    let code = code.map_err(|_error| Failure::field("区县", "请写 6 位行政区划代码"))?;
    Ok(query::resolve_county(at.store(), Some(code)).await?)
}

/// The school that was chosen in a form.
///
/// # Errors
/// A field that names none.
pub(super) fn school(chosen: &str) -> Result<SchoolCode, Failure> {
    chosen
        .parse()
        .map_err(|_error| Failure::field("学校", "请选择学校"))
}

fn unreadable(error: &MultipartError) -> Failure {
    tracing::debug!(%error, "an upload can't be read");
    Failure::field("上传的文件", "读取失败或超过 8 MB,请拆分后重试")
}

/// Reads an upload.
///
/// # Errors
/// A field that can't be read, or a file that is too large.
pub(super) async fn upload(mut form: Multipart) -> Result<Upload, Failure> {
    let mut found = Upload::default();
    while let Some(field) = form
        .next_field()
        .await
        .map_err(|error| unreadable(&error))?
    {
        match field.name() {
            Some("file") => {
                found.name = field.file_name().unwrap_or_default().to_owned();
                let content = field.bytes().await.map_err(|error| unreadable(&error))?;
                found.content = content.to_vec();
            }
            Some("do") => {
                found.action = field.text().await.map_err(|error| unreadable(&error))?;
            }
            Some(name) => {
                let name = name.to_owned();
                let text = field.text().await.map_err(|error| unreadable(&error))?;
                found.fields.insert(name, text);
            }
            None => {}
        }
    }
    Ok(found)
}
