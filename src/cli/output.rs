//! How answers look: aligned tables for people, JSON for programs.
//!
//! Not responsible for what is answered.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::{FAILED, Failure, Opened};
use crate::store::ContentDigest;

/// A table with headings; columns from the given index on are numbers and aligned right.
pub(super) fn table(headings: &[&str], numbers_from: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(headings.to_vec());
    for index in numbers_from..headings.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Prints one JSON value.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::said(FAILED, error.to_string()))?;
    print(&text);
    Ok(())
}

/// Prints to standard output; a reader that has gone (`| head`) is no failure.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}"));
}

/// Writes a file, which is recorded, and says where it is.
pub(super) async fn file(at: &Opened, path: &Path, content: &[u8]) -> Result<(), Failure> {
    let name = path.display().to_string();
    tokio::fs::write(path, content)
        .await
        .map_err(|error| Failure::said(FAILED, format!("{name}: {error}")))?;
    let told = serde_json::json!({ "bytes": content.len(), "sha256": ContentDigest::of(content) });
    let nothing = serde_json::Value::Null;
    at.access.record("export", &name, &nothing, &told).await?;
    if at.json {
        return json(&serde_json::json!({ "file": name, "bytes": content.len() }));
    }
    print(&format!("已写入 {name}({} 字节)", content.len()));
    Ok(())
}
