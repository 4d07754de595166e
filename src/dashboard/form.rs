//! Forms as they come in: a file with its fields, and the names of fields.

use axum::extract::{Multipart, multipart::MultipartError};

use super::failure::Failure;
use crate::domain::ids::SchoolCode;

/// An upload: the file and the button that sent it.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// As the browser names it.
    pub(super) name: String,
    /// Its content; empty where no file was chosen.
    pub(super) content: Vec<u8>,
    /// The value of the button `do`.
    pub(super) action: String,
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
            _ => {}
        }
    }
    Ok(found)
}
