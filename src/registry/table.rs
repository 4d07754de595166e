//! Tables as bureaus have them (CSV from WPS or Excel, XLSX) → rows of trimmed text, each with its place.
//!
//! Not responsible for what the columns mean.

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};

/// Kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// UTF-8, comma.
    Csv,
    /// Excel 2007 or later.
    Xlsx,
}

/// Largest file, in bytes.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Largest content of a workbook once unpacked, in bytes.
const MAX_UNPACKED: u64 = 200 * 1024 * 1024;
/// Most rows in a file.
const MAX_ROWS: usize = 200_000;
/// Most columns in a sheet.
const MAX_COLUMNS: usize = 64;
/// Longest cell, in characters.
const MAX_CELL: usize = 1_000;

/// One sheet, or a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sheet {
    /// Its name; empty for CSV.
    pub(super) name: String,
    /// The headings, from the first row that is not empty.
    pub(super) headings: Vec<String>,
    /// The row of the headings, as a spreadsheet numbers it.
    pub(super) heading_row: u32,
    /// Rows that are not empty, with their numbers.
    pub(super) rows: Vec<(u32, Vec<String>)>,
}

/// Reads a file. The error is a sentence in Chinese for the file as a whole.
pub(super) fn read(content: &[u8], format: Option<Format>) -> Result<Vec<Sheet>, String> {
    if content.len() > MAX_BYTES {
        return Err(format!(
            "文件有 {} 字节,超过上限 {MAX_BYTES} 字节,请拆成几个文件导入",
            content.len()
        ));
    }
    let zip = content.starts_with(b"PK\x03\x04");
    let sheets = match format {
        Some(Format::Xlsx) => xlsx(content)?,
        None if zip => xlsx(content)?,
        None if content.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) => {
            return Err(
                "这是旧版 .xls 文件,请在 WPS 或 Excel 中另存为 .xlsx 或“CSV UTF-8”".to_owned(),
            );
        }
        Some(Format::Csv) | None => vec![csv(content)?],
    };
    if sheets.iter().map(|sheet| sheet.rows.len()).sum::<usize>() > MAX_ROWS {
        return Err(format!("行数超过上限 {MAX_ROWS},请拆成几个文件导入"));
    }
    if sheets.is_empty() {
        return Err("文件中没有任何内容".to_owned());
    }
    Ok(sheets)
}

fn csv(content: &[u8]) -> Result<Sheet, String> {
    let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let text = std::str::from_utf8(text).map_err(|_other| {
        "文件不是 UTF-8 编码,请在 WPS 或 Excel 中另存为“CSV UTF-8(逗号分隔)”".to_owned()
    })?;
    // With a last line break, every record ends on a line of its own, also the last one.
    let text = format!("{}\n", text.trim_end_matches(['\r', '\n']));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let (mut rows, mut record, mut inside) = (Vec::new(), csv::StringRecord::new(), 0);
    while reader
        .read_record(&mut record)
        .map_err(|error| format!("CSV 格式有误:{error}"))?
    {
        // A cell with line breaks is one row of a spreadsheet, and an empty line is a row.
        inside += record
            .iter()
            .map(|cell| cell.matches('\n').count() as u64)
            .sum::<u64>();
        let row = reader.position().line().saturating_sub(1 + inside);
        rows.push((
            u32::try_from(row).unwrap_or(u32::MAX),
            record.iter().map(str::to_owned).collect(),
        ));
    }
    sheet(String::new(), rows)?.ok_or_else(|| "文件中没有任何内容".to_owned())
}

fn xlsx(content: &[u8]) -> Result<Vec<Sheet>, String> {
    let broken = |error: &dyn std::fmt::Display| format!("不是可读的 .xlsx 文件:{error}");
    let mut archive = zip::ZipArchive::new(Cursor::new(content)).map_err(|error| broken(&error))?;
    let mut unpacked = 0_u64;
    for index in 0..archive.len() {
        let part = archive
            .by_index_raw(index)
            .map_err(|error| broken(&error))?;
        unpacked = unpacked.saturating_add(part.size());
    }
    if unpacked > MAX_UNPACKED {
        return Err(format!(
            "文件解压后有 {unpacked} 字节,超过上限 {MAX_UNPACKED} 字节"
        ));
    }
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(content)).map_err(|error| broken(&error))?;
    let mut sheets = Vec::new();
    for name in workbook.sheet_names() {
        let range = workbook
            .worksheet_range(&name)
            .map_err(|error| broken(&error))?;
        let (first, _) = range.start().unwrap_or_default();
        let rows = range
            .rows()
            .zip(first + 1..)
            .map(|(cells, row)| (row, cells.iter().map(text).collect()));
        sheets.extend(sheet(name.clone(), rows.collect())?);
    }
    Ok(sheets)
}

/// A cell as a person reads it. Codes that were typed as numbers lose no digit and gain no decimal point.
fn text(cell: &Data) -> String {
    match cell {
        Data::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        Data::DateTime(_) | Data::DateTimeIso(_) => {
            use calamine::DataType as _;
            cell.as_date().map_or_else(
                || cell.to_string(),
                |date| date.format("%Y-%m-%d").to_string(),
            )
        }
        other => other.to_string(),
    }
}

/// Trims, drops empty rows, and takes the first row as headings. `None` for an empty sheet.
fn sheet(name: String, rows: Vec<(u32, Vec<String>)>) -> Result<Option<Sheet>, String> {
    let mut kept = Vec::new();
    for (row, cells) in rows {
        let cells: Vec<String> = cells.iter().map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().all(String::is_empty) {
            continue;
        }
        let width = cells
            .iter()
            .rposition(|cell| !cell.is_empty())
            .map_or(0, |last| last + 1);
        if width > MAX_COLUMNS {
            return Err(format!("第 {row} 行有 {width} 列,超过上限 {MAX_COLUMNS}"));
        }
        if cells.iter().any(|cell| cell.chars().count() > MAX_CELL) {
            return Err(format!("第 {row} 行有单元格超过 {MAX_CELL} 字"));
        }
        kept.push((row, cells));
    }
    let mut rows = kept.into_iter();
    let Some((heading_row, headings)) = rows.next() else {
        return Ok(None);
    };
    Ok(Some(Sheet {
        name,
        headings,
        heading_row,
        rows: rows.collect(),
    }))
}

#[cfg(test)]
mod tests {
    use rust_xlsxwriter::{ExcelDateTime, Format as CellFormat, Workbook};

    use super::*;

    #[test]
    fn csv_with_and_without_bom_skips_empty_rows_and_keeps_numbers() {
        for text in ["a,b\n\n 1 ,2\n,\n3,\n", "\u{feff}a,b\n\n 1 ,2\n,\n3,\n"] {
            let sheets = read(text.as_bytes(), None).unwrap();
            let strings = |cells: &[&str]| {
                cells
                    .iter()
                    .map(|cell| (*cell).to_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!(sheets[0].headings, strings(&["a", "b"]));
            assert_eq!(
                sheets[0].rows,
                [(3, strings(&["1", "2"])), (5, strings(&["3", ""]))]
            );
        }
    }

    #[test]
    fn other_files_are_refused_with_the_mend() {
        let gbk = [0xd6, 0xd5, 0xb6, 0xcb, b',', b'a'];
        assert!(read(&gbk, None).unwrap_err().contains("UTF-8"));
        assert!(
            read(&[0xd0, 0xcf, 0x11, 0xe0, 0], None)
                .unwrap_err()
                .contains(".xlsx")
        );
        assert!(
            read(b"PK\x03\x04rubbish", None)
                .unwrap_err()
                .contains(".xlsx")
        );
        assert!(read(b"", None).unwrap_err().contains("没有"));
        assert!(
            read(&vec![b'a'; MAX_BYTES + 1], None)
                .unwrap_err()
                .contains("拆")
        );
        assert!(
            read(format!("a{}", ",".repeat(100)).as_bytes(), None).is_ok(),
            "empty columns do not count"
        );
        assert!(
            read("a,b".repeat(100).as_bytes(), None)
                .unwrap_err()
                .contains("列")
        );
    }

    #[test]
    fn xlsx_numbers_and_dates_become_their_text() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet().set_name("学校").unwrap();
        sheet.write(1, 0, "学校标识码").unwrap();
        sheet.write(1, 1, "启用日期").unwrap();
        sheet.write(2, 0, 2_123_000_001_f64).unwrap();
        let format = CellFormat::new().set_num_format("yyyy-mm-dd");
        sheet
            .write_with_format(2, 1, ExcelDateTime::from_ymd(2026, 9, 1).unwrap(), &format)
            .unwrap();
        book.add_worksheet();
        let content = book.save_to_buffer().unwrap();
        let sheets = read(&content, None).unwrap();
        assert_eq!(sheets.len(), 1, "an empty sheet is no sheet");
        assert_eq!(
            (sheets[0].name.as_str(), sheets[0].heading_row),
            ("学校", 2)
        );
        assert_eq!(
            sheets[0].rows,
            [(3, vec!["2123000001".to_owned(), "2026-09-01".to_owned()])]
        );
    }
}
