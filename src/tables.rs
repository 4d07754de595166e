//! Tables as bureaus have them (CSV from WPS or Excel, XLSX) → rows of trimmed text, each with its place.
//!
//! Files come from anyone, so everything is bounded: bytes, what they unpack to, rows, columns, cells, text in all.
//! Not responsible for what the columns mean (`registry`, `sheets`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Cursor, Read as _},
    panic::AssertUnwindSafe,
};

use calamine::{Data, Reader as _, Xlsx, XlsxError};

/// Kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// UTF-8, comma.
    Csv,
    /// Excel 2007 or later.
    Xlsx,
}

/// Largest file, in bytes.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Largest content of a workbook once unpacked, and of its cells' text in all, in bytes.
const MAX_UNPACKED: u64 = 200 * 1024 * 1024;
/// Most rows in a file.
const MAX_ROWS: usize = 200_000;
/// Most cells in a workbook, counting those that a row leaves empty before its last: each takes memory.
const MAX_CELLS: usize = 4_000_000;

/// How wide a table may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most columns in a sheet.
    pub(crate) columns: usize,
    /// Longest cell, in characters.
    pub(crate) cell: usize,
}

impl Limits {
    /// A table that people read.
    pub(crate) const TABLE: Self = Self {
        columns: 64,
        cell: 1_000,
    };
}

/// A text that a spreadsheet would take for a formula gets a mark before it; numbers stay numbers.
pub(crate) fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula && text.parse::<i64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// One sheet, or a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// Its name; empty for CSV.
    pub(crate) name: String,
    /// The headings, from the first row that is not empty.
    pub(crate) headings: Vec<String>,
    /// The row of the headings, as a spreadsheet numbers it.
    pub(crate) heading_row: u32,
    /// Rows that are not empty, with their numbers.
    pub(crate) rows: Vec<(u32, Vec<String>)>,
    /// Row number and column index of formulas whose result the file does not have: they read as empty.
    pub(crate) unsolved: BTreeSet<(u32, usize)>,
}

impl Sheet {
    /// The same sheet with its headings taken from the first row that has this one; rows above are for people.
    pub(crate) fn headed_by(mut self, heading: &str) -> Option<Self> {
        let has = |cells: &[String]| cells.iter().any(|cell| cell == heading);
        if !has(&self.headings) {
            let at = self.rows.iter().position(|(_, cells)| has(cells))?;
            let rows = self.rows.split_off(at + 1);
            (self.heading_row, self.headings) = self.rows.pop()?;
            self.rows = rows;
        }
        Some(self)
    }
}

/// Reads a file. The error is a sentence in Chinese for the file as a whole.
pub(crate) fn read(
    content: &[u8],
    format: Option<Format>,
    limits: Limits,
) -> Result<Vec<Sheet>, String> {
    if content.len() > MAX_BYTES {
        return Err(format!(
            "文件有 {} 字节,超过上限 {MAX_BYTES} 字节,请拆成几个文件导入",
            content.len()
        ));
    }
    let zip = content.starts_with(b"PK\x03\x04");
    let sheets = match format {
        Some(Format::Xlsx) => xlsx(content, limits)?,
        None if zip => xlsx(content, limits)?,
        None if content.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) => {
            return Err(
                "这是旧版 .xls 文件,请在 WPS 或 Excel 中另存为 .xlsx 或“CSV UTF-8”".to_owned(),
            );
        }
        Some(Format::Csv) | None => vec![csv(content, limits)?],
    };
    if sheets.iter().map(|sheet| sheet.rows.len()).sum::<usize>() > MAX_ROWS {
        return Err(format!("行数超过上限 {MAX_ROWS},请拆成几个文件导入"));
    }
    if sheets.is_empty() {
        return Err("文件中没有任何内容".to_owned());
    }
    Ok(sheets)
}

fn csv(content: &[u8], limits: Limits) -> Result<Sheet, String> {
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
    sheet(String::new(), rows, BTreeSet::new(), limits)?
        .ok_or_else(|| "文件中没有任何内容".to_owned())
}

fn broken(error: &dyn std::fmt::Display) -> String {
    format!("不是可读的 .xlsx 文件:{error}")
}

const CONTRADICTS: &str = "文件内部的说明自相矛盾,请用 WPS 或 Excel 打开后另存";

/// A workbook's sheets. The library that takes it apart reckons with what the file says of itself, and where that is
/// nonsense (a range that ends before it begins) it panics in a build that checks overflows: the file is refused then.
fn xlsx(content: &[u8], limits: Limits) -> Result<Vec<Sheet>, String> {
    let read = AssertUnwindSafe(|| taken_apart(content, limits));
    std::panic::catch_unwind(read).unwrap_or_else(|_panic| {
        tracing::warn!("a workbook contradicts itself and was refused");
        Err(broken(&CONTRADICTS))
    })
}

/// Bytes that went by.
#[derive(Default)]
struct Counted {
    bytes: u64,
    claims: Claims,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.claims.look(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Digits of the largest number of shared texts that a file may claim: more cells than this are refused anyway.
const CLAIM_DIGITS: usize = 7;

/// What a part claims as it goes by: the library makes room for as many shared texts as a file says, before it reads one,
/// and a process that asks for more memory than there is ends at once.
#[derive(Default)]
struct Claims {
    /// The last sixteen bytes.
    last: u128,
    /// Where in a claim it is.
    at: Place,
    too_much: bool,
}

#[derive(Default)]
enum Place {
    #[default]
    Elsewhere,
    /// After the word, before its value.
    Named,
    /// In the value, after so many digits that count.
    Value(usize),
}

impl Claims {
    const WORD: u128 = u128::from_be_bytes(*b"\0\0\0\0\0uniqueCount");
    const WORD_BITS: u128 = (1 << (11 * 8)) - 1;

    fn look(&mut self, bytes: &[u8]) {
        // In two bytes a letter it says the same.
        for byte in bytes.iter().copied().filter(|byte| *byte != 0) {
            self.last = self.last << 8 | u128::from(byte);
            self.at = match (&self.at, byte) {
                // Whatever stands before: the last one may be the one that is meant.
                _ if self.last & Self::WORD_BITS == Self::WORD => Place::Named,
                (Place::Named, b'"' | b'\'') | (Place::Value(0), b'0') => Place::Value(0),
                (Place::Value(_), b'"' | b'\'') => Place::Elsewhere,
                (Place::Value(digits), b'0'..=b'9') => Place::Value(digits + 1),
                _ => continue,
            };
            self.too_much |= matches!(self.at, Place::Value(digits) if digits > CLAIM_DIGITS);
        }
        // An escape is no XML, but an encoding's way to say nothing within a word.
        self.too_much |= bytes.contains(&0x1b);
    }
}

/// Refuses what unpacks to too much, by unpacking it: what an archive says of its own sizes may be a lie.
fn fits_unpacked(content: &[u8]) -> Result<(), String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(content)).map_err(|error| broken(&error))?;
    let mut left = MAX_UNPACKED;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| broken(&error))?;
        let shared = part.name().map_or(true, |name| {
            name.to_ascii_lowercase().ends_with("sharedstrings.xml")
        });
        let mut unpacked = Counted::default();
        // A part that breaks off is the next reader's to name; what it was until then counts.
        drop(io::copy(&mut part.take(left + 1), &mut unpacked));
        left = left
            .checked_sub(unpacked.bytes)
            .ok_or_else(|| format!("文件解压后超过上限 {MAX_UNPACKED} 字节"))?;
        if shared && unpacked.claims.too_much {
            return Err(broken(&CONTRADICTS));
        }
    }
    Ok(())
}

fn taken_apart(content: &[u8], limits: Limits) -> Result<Vec<Sheet>, String> {
    fits_unpacked(content)?;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(content)).map_err(|error| broken(&error))?;
    let (mut sheets, mut left, mut room) = (Vec::new(), MAX_UNPACKED, MAX_CELLS);
    for name in workbook.sheet_names() {
        let mut cells = match workbook.worksheet_cells_reader(&name) {
            Ok(cells) => cells,
            // A sheet that is only a chart holds no rows.
            Err(XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(broken(&error)),
        };
        // Cells one by one, not as a rectangle: two cells in far corners would make one of 17 milliard.
        let mut rows: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        let mut unsolved = BTreeSet::new();
        while let Some(cell) = cells
            .next_cell_with_formula_metadata()
            .map_err(|error| broken(&error))?
        {
            let (row, column) = (cell.pos.0 + 1, cell.pos.1 as usize);
            let content = text(&Data::from(cell.value));
            let content = content.trim();
            if content.is_empty() {
                if cell.formula.is_some() && column < limits.columns {
                    room = fewer(room, 1)?;
                    unsolved.insert((row, column));
                }
                continue;
            }
            left = left
                .checked_sub(content.len() as u64)
                .ok_or_else(|| format!("单元格文字合计超过上限 {MAX_UNPACKED} 字节"))?;
            limits.check(row, column + 1, content)?;
            if rows.len() > MAX_ROWS {
                return Err(format!("行数超过上限 {MAX_ROWS},请拆成几个文件导入"));
            }
            let cells = rows.entry(row).or_default();
            if cells.len() <= column {
                room = fewer(room, column + 1 - cells.len())?;
                cells.resize(column + 1, String::new());
            }
            content.clone_into(&mut cells[column]);
        }
        sheets.extend(sheet(name, rows.into_iter().collect(), unsolved, limits)?);
    }
    Ok(sheets)
}

/// Room for cells, less those that are taken.
fn fewer(room: usize, taken: usize) -> Result<usize, String> {
    room.checked_sub(taken)
        .ok_or_else(|| format!("单元格超过上限 {MAX_CELLS} 个,请拆成几个文件导入"))
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
        // Fifteen digits, as spreadsheets show them: a formula's 0.30000000000000004 is 0.3 to everyone.
        Data::Float(value) => {
            let shown = format!("{value:.14e}").parse().unwrap_or(*value);
            shown.to_string()
        }
        other => other.to_string(),
    }
}

impl Limits {
    /// The width of a row, and a cell of it.
    fn check(self, row: u32, width: usize, cell: &str) -> Result<(), String> {
        if width > self.columns {
            return Err(format!(
                "第 {row} 行有 {width} 列,超过上限 {}",
                self.columns
            ));
        }
        // Most cells are short enough by their bytes already.
        if cell.len() > self.cell && cell.chars().count() > self.cell {
            return Err(format!("第 {row} 行有单元格超过 {} 字", self.cell));
        }
        Ok(())
    }
}

/// Trims, drops empty rows, and takes the first row as headings. `None` for an empty sheet.
fn sheet(
    name: String,
    rows: Vec<(u32, Vec<String>)>,
    unsolved: BTreeSet<(u32, usize)>,
    limits: Limits,
) -> Result<Option<Sheet>, String> {
    let mut kept = Vec::new();
    for (row, mut cells) in rows {
        for cell in &mut cells {
            if cell.trim().len() < cell.len() {
                *cell = cell.trim().to_owned();
            }
        }
        let Some(last) = cells.iter().rposition(|cell| !cell.is_empty()) else {
            continue;
        };
        for cell in &cells {
            limits.check(row, last + 1, cell)?;
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
        unsolved,
    }))
}

#[cfg(test)]
mod tests {
    use rust_xlsxwriter::{ExcelDateTime, Format as CellFormat, Workbook};

    use super::*;

    #[test]
    fn csv_with_and_without_bom_skips_empty_rows_and_keeps_numbers() {
        for text in ["a,b\n\n 1 ,2\n,\n3,\n", "\u{feff}a,b\n\n 1 ,2\n,\n3,\n"] {
            let sheets = read(text.as_bytes(), None, Limits::TABLE).unwrap();
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
        assert!(
            read(&gbk, None, Limits::TABLE)
                .unwrap_err()
                .contains("UTF-8")
        );
        assert!(
            read(&[0xd0, 0xcf, 0x11, 0xe0, 0], None, Limits::TABLE)
                .unwrap_err()
                .contains(".xlsx")
        );
        assert!(
            read(b"PK\x03\x04rubbish", None, Limits::TABLE)
                .unwrap_err()
                .contains(".xlsx")
        );
        assert!(read(b"", None, Limits::TABLE).unwrap_err().contains("没有"));
        assert!(
            read(&vec![b'a'; MAX_BYTES + 1], None, Limits::TABLE)
                .unwrap_err()
                .contains("拆")
        );
        assert!(
            read(
                format!("a{}", ",".repeat(100)).as_bytes(),
                None,
                Limits::TABLE
            )
            .is_ok(),
            "empty columns do not count"
        );
        assert!(
            read("a,b".repeat(100).as_bytes(), None, Limits::TABLE)
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
        let sheets = read(&content, None, Limits::TABLE).unwrap();
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

    #[test]
    fn cells_in_far_corners_make_no_rectangle_and_are_refused() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write(0, 0, "学校标识码").unwrap();
        sheet.write(1_048_575, 16_383, "x").unwrap();
        let content = book.save_to_buffer().unwrap();
        let refused = read(&content, None, Limits::TABLE).unwrap_err();
        assert!(refused.contains("16384 列"), "{refused}");
    }

    #[test]
    fn rows_that_are_wide_and_empty_are_bounded() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        for row in 0..5_000 {
            sheet.write(row, 999, "x").unwrap();
        }
        let content = book.save_to_buffer().unwrap();
        let wide = Limits {
            columns: 1_000,
            ..Limits::TABLE
        };
        let refused = read(&content, None, wide).unwrap_err();
        assert!(refused.contains("4000000 个"), "{refused}");
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        use std::io::Write as _;
        let mut file = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        let nothing = vec![b' '; 1024 * 1024];
        file.start_file("xl/workbook.xml", options).unwrap();
        for _ in 0..=200 {
            file.write_all(&nothing).unwrap();
        }
        let mut content = file.finish().unwrap().into_inner();
        assert!(content.len() < MAX_BYTES);
        let refused = read(&content, None, Limits::TABLE).unwrap_err();
        assert!(refused.contains("解压后"), "{refused}");
        // The same, saying of itself that it is small: in the part's own head, and in the directory.
        let size = u32::to_le_bytes(201 * 1024 * 1024);
        let mut lies = 0;
        while let Some(at) = content.windows(4).position(|four| four == size) {
            content[at..at + 4].copy_from_slice(&u32::to_le_bytes(1_000));
            lies += 1;
        }
        assert!(lies >= 1);
        // Read no further than it says, it is no workbook; read to its end, it is too much.
        assert!(read(&content, None, Limits::TABLE).is_err());
    }

    #[test]
    fn what_claims_more_texts_than_any_file_may_have_is_refused_unread() {
        // However it is cut into pieces.
        let claims_too_much = |part: &[u8]| {
            let found = [1, 7, part.len()].map(|size| {
                let mut claims = Claims::default();
                part.chunks(size).for_each(|some| claims.look(some));
                claims.too_much
            });
            assert!(found.iter().all(|one| *one == found[0]));
            found[0]
        };
        let claim = |count: &str| {
            format!("<?xml version=\"1.0\"?><sst count='2' uniqueCount={count}><si/></sst>")
        };
        for good in ["\"2\"", "'9999999'", " = '0000000000002'", "\"\"", "\""] {
            assert!(!claims_too_much(claim(good).as_bytes()), "{good}");
        }
        for bad in [
            "\"134230000047\"",
            "'18446744073709551615'",
            " = '+10000000'",
        ] {
            assert!(claims_too_much(claim(bad).as_bytes()), "{bad}");
            let wide: Vec<u8> = claim(bad).bytes().flat_map(|byte| [byte, 0]).collect();
            assert!(claims_too_much(&wide), "{bad} in UTF-16");
        }
        // The first one is not the last word.
        let twice = format!("<!-- uniqueCount='1' -->{}", claim("'99999999'"));
        assert!(claims_too_much(twice.as_bytes()));
        let open = format!("<!-- uniqueCount ' -->{}", claim("'99999999'"));
        assert!(claims_too_much(open.as_bytes()));
        assert!(claims_too_much(b"<sst unique\x1b(BCount='99999999'/>"));
    }

    #[test]
    fn one_text_used_again_and_again_is_bounded_too() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        let long = "长".repeat(900);
        for row in 0..2_000 {
            for column in 0..60 {
                sheet.write(row, column, &long).unwrap();
            }
        }
        let content = book.save_to_buffer().unwrap();
        let refused = read(&content, None, Limits::TABLE).unwrap_err();
        assert!(refused.contains("文字合计"), "{refused}");
    }

    #[test]
    fn formulas_read_as_their_results() {
        use rust_xlsxwriter::Formula;
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write(0, 0, "甲").unwrap();
        let solved = Formula::new("=0.1+0.2").set_result("0.30000000000000004");
        sheet.write(1, 0, solved).unwrap();
        let content = book.save_to_buffer().unwrap();
        let sheets = read(&content, None, Limits::TABLE).unwrap();
        assert_eq!(sheets[0].rows, [(2, vec!["0.3".to_owned()])]);
        assert_eq!(sheets[0].unsolved, BTreeSet::new());
    }
}
