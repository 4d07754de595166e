//! Tables: one description gives the table on the page and the same as CSV and XLSX.
//!
//! A cell's text is what both show; a page may draw something beside it.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, PreEscaped, html};

use super::failure::Failure;
use crate::{observe::chain, sheets::table as sheet, tables::harmless};

/// How a column looks, and where it appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    /// Text that names the row.
    Head(&'static str),
    /// Text in one line.
    Text(&'static str),
    /// Sentences, which may take several lines.
    Long(&'static str),
    /// Figures, aligned right.
    Number(&'static str),
    /// Figures under a heading that comes from data.
    Figure(String),
    /// Only on the page: drawings and buttons.
    Shown(&'static str),
    /// Only in exports: what would crowd the page.
    Exported(&'static str),
}

impl Column {
    const fn is_exported(&self) -> bool {
        !matches!(self, Self::Shown(_))
    }

    fn heading(&self) -> &str {
        match self {
            Self::Figure(heading) => heading,
            Self::Head(heading)
            | Self::Text(heading)
            | Self::Long(heading)
            | Self::Number(heading)
            | Self::Shown(heading)
            | Self::Exported(heading) => heading,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    shown: Option<PreEscaped<String>>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            shown: None,
        }
    }
}

impl Cell {
    /// A count.
    pub(super) fn count(number: impl Into<u64>) -> Self {
        number.into().to_string().into()
    }

    /// Text that leads to a page.
    pub(super) fn link(text: impl Into<String>, to: &str) -> Self {
        let text = text.into();
        let shown = html! { a href=(to) { (text) } };
        Self::drawn(text, shown)
    }

    /// Text that a page shows its own way.
    pub(super) fn drawn(text: impl Into<String>, shown: Markup) -> Self {
        Self {
            text: text.into(),
            shown: Some(shown),
        }
    }

    /// Something only a page shows.
    pub(super) fn shown(shown: Markup) -> Self {
        Self::drawn("", shown)
    }
}

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// What `?table=` asks for.
    pub(super) key: &'static str,
    /// What it shows; also the start of a file's name.
    pub(super) caption: String,
    /// From left to right.
    pub(super) columns: Vec<Column>,
    /// As many cells each as there are columns.
    pub(super) rows: Vec<Vec<Cell>>,
    /// What stands in place of no rows.
    pub(super) empty: &'static str,
}

impl Table {
    /// As a page shows it, with a link to its export; `query` is the page's own, without `?`.
    pub(super) fn html(&self, query: &str) -> Markup {
        let join = if query.is_empty() { "" } else { "&" };
        let export = |format| format!("?{query}{join}format={format}&table={}", self.key);
        html! {
            div.table-head {
                h2 id=(self.key) { (self.caption) }
                @if !self.rows.is_empty() {
                    span.exports {
                        @for (format, name) in [("csv", "CSV"), ("xlsx", "XLSX")] {
                            a.export href=(export(format)) download="" { "下载 " (name) span.unseen { ":" (self.caption) } }
                        }
                    }
                }
            }
            (self.bare())
        }
    }

    /// The table alone.
    pub(super) fn bare(&self) -> Markup {
        if self.rows.is_empty() {
            return html! { p.empty { (self.empty) } };
        }
        html! {
            div.scroll tabindex="0" role="group" aria-label=(self.caption) {
                table data-table=(self.key) {
                    caption.unseen { (self.caption) }
                    thead { tr {
                        @for column in &self.columns {
                            @match column {
                                Column::Exported(_) => {}
                                Column::Number(_) | Column::Figure(_) => { th.num scope="col" { (column.heading()) } }
                                Column::Head(heading) | Column::Text(heading) | Column::Long(heading) => { th scope="col" { (heading) } }
                                Column::Shown(heading) => { th.plain scope="col" { (heading) } }
                            }
                        }
                    } }
                    tbody {
                        @for row in &self.rows {
                            tr { @for (column, cell) in self.columns.iter().zip(row) { (one(column, cell)) } }
                        }
                    }
                }
            }
        }
    }

    /// As a file that Excel and WPS open rightly.
    ///
    /// # Errors
    /// None in practice: writing to memory does not fail.
    pub(super) fn csv(&self, scope: &str) -> Result<Response, Failure> {
        let mut file = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            // Excel takes UTF-8 for what it is only where the file begins so.
            .from_writer(b"\xef\xbb\xbf".to_vec());
        let headings = self.columns.iter().filter(|column| column.is_exported());
        let failed = |_error: csv::Error| Failure::field("导出", "无法生成文件");
        file.write_record(headings.map(Column::heading))
            .map_err(failed)?;
        for row in &self.rows {
            let cells = self.exported(row).map(|cell| harmless(&cell.text));
            file.write_record(cells).map_err(failed)?;
        }
        let content = file
            .into_inner()
            .map_err(|_error| Failure::field("导出", "无法生成文件"))?;
        let name = format!("{}_{scope}.csv", self.caption);
        Ok(attachment(self.key, &name, content))
    }

    /// The same as a workbook.
    ///
    /// # Errors
    /// `Unwritten`, for more rows than a sheet has.
    pub(super) fn xlsx(&self, scope: &str) -> Result<Response, Failure> {
        let columns: Vec<_> = self
            .columns
            .iter()
            .filter(|column| column.is_exported())
            .map(|column| sheet::Column {
                heading: column.heading(),
                figures: matches!(column, Column::Number(_) | Column::Figure(_)),
            })
            .collect();
        let row = |row: &'_ Vec<Cell>| -> Vec<String> {
            self.exported(row).map(|cell| cell.text.clone()).collect()
        };
        let texts: Vec<Vec<String>> = self.rows.iter().map(row).collect();
        let rows: Vec<Vec<&str>> = texts
            .iter()
            .map(|row| row.iter().map(String::as_str).collect())
            .collect();
        let about = scope.replace('_', " ");
        let content = sheet::xlsx(&self.caption, &about, &columns, &rows);
        let content = content.map_err(|error| {
            tracing::error!(error = chain(&error), "a table could not be written");
            Failure::Unwritten
        })?;
        let name = format!("{}_{scope}.xlsx", self.caption);
        Ok(attachment(self.key, &name, content))
    }

    /// The cells of a row that exports have.
    fn exported<'a>(&'a self, row: &'a [Cell]) -> impl Iterator<Item = &'a Cell> {
        let cells = self.columns.iter().zip(row);
        let cells = cells.filter(|(column, _)| column.is_exported());
        cells.map(|(_, cell)| cell)
    }

    /// Only the first rows, for a page that must stay small; exports have all.
    pub(super) fn first(&self, most: usize) -> Self {
        let rows = self.rows.iter().take(most).cloned().collect();
        Self {
            rows,
            ..self.clone()
        }
    }
}

/// A file to keep; `plain` is its name for browsers that can't read the Chinese one.
pub(super) fn attachment(plain: &str, name: &str, content: Vec<u8>) -> Response {
    let (ending, kind) = match name.rsplit_once('.') {
        Some((_, "xlsx")) => (
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        Some((_, "csv")) => ("csv", "text/csv; charset=utf-8"),
        _ => ("json", "application/json"),
    };
    let encoded: String = form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20");
    let disposition =
        format!("attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{encoded}");
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, content).into_response()
}

fn one(column: &Column, cell: &Cell) -> Markup {
    let content = html! {
        @match &cell.shown { Some(shown) => { (shown) }, None => { (cell.text) } }
    };
    match column {
        Column::Exported(_) => html! {},
        Column::Head(_) => html! { th scope="row" { (content) } },
        Column::Number(_) | Column::Figure(_) => html! { td.num { (content) } },
        Column::Text(_) => html! { td.line { (content) } },
        Column::Long(_) => html! { td.long { (content) } },
        Column::Shown(_) => html! { td { (content) } },
    }
}

/// The export that a page was asked for, or the page.
pub(super) fn answer(
    asked: &super::filters::Filters,
    tables: &[&Table],
    scope: &str,
    page: impl FnOnce() -> Markup,
) -> Result<Response, Failure> {
    match asked.format.as_str() {
        "" => Ok(axum::response::Html(page().into_string()).into_response()),
        format @ ("csv" | "xlsx") => {
            let wanted = |table: &&&Table| asked.table.is_empty() || table.key == asked.table;
            let Some(table) = tables.iter().find(wanted) else {
                let known: Vec<_> = tables.iter().map(|table| table.key).collect();
                return Err(Failure::field(
                    "表名",
                    format!("本页可导出的表:{}", known.join("、")),
                ));
            };
            if format == "csv" {
                table.csv(scope)
            } else {
                table.xlsx(scope)
            }
        }
        _ => Err(Failure::field("格式", "可用:csv、xlsx")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_marked() {
        for (text, expected) in [
            ("晨光小学", "晨光小学"),
            ("-12", "-12"),
            ("12.30", "12.30"),
            ("=1+1", "'=1+1"),
            ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), expected);
        }
    }
}
