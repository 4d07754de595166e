//! Workbooks taken apart and put together, and the corpora's first inputs.

use std::io::{Cursor, Read as _, Write as _};

use rust_xlsxwriter::Workbook;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// A workbook's parts in the order of its archive.
pub(crate) struct Parts(Vec<(String, Vec<u8>)>);

/// Takes a workbook apart.
pub(crate) fn parts(book: &[u8]) -> Parts {
    let mut archive = ZipArchive::new(Cursor::new(book)).unwrap();
    let parts = (0..archive.len()).map(|index| {
        let mut part = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).unwrap();
        (part.name().unwrap().into_owned(), bytes)
    });
    Parts(parts.collect())
}

impl Parts {
    /// The workbook with one part replaced, whichever `which` comes to.
    pub(crate) fn with_part(&self, which: u8, bytes: &[u8]) -> Vec<u8> {
        let which = usize::from(which) % self.0.len();
        self.zipped(|index, _, part| {
            if index == which {
                bytes.to_vec()
            } else {
                part.to_vec()
            }
        })
    }

    /// Each part that is not too long, with the byte that chooses it.
    pub(crate) fn replaceable(&self) -> Vec<Vec<u8>> {
        let parts = (0..).zip(&self.0);
        parts
            .filter(|(_, (_, part))| part.len() < crate::MAX_INPUT)
            .map(|(which, (_, part))| [&[which][..], part].concat())
            .collect()
    }

    /// The workbook with lines of `SHEET CELL TEXT` typed into it, such as `1 C5 是`.
    pub(crate) fn typed(&self, lines: &str) -> Vec<u8> {
        self.zipped(|_, name, part| {
            let mut text = String::from_utf8_lossy(part).into_owned();
            for line in lines.lines() {
                let mut words = line.splitn(3, ' ');
                let (Some(sheet), Some(cell), Some(typed)) =
                    (words.next(), words.next(), words.next())
                else {
                    continue;
                };
                if name == format!("xl/worksheets/sheet{sheet}.xml") {
                    text = type_into(&text, cell, typed);
                }
            }
            text.into_bytes()
        })
    }

    fn zipped(&self, content: impl Fn(usize, &str, &[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (index, (name, part)) in self.0.iter().enumerate() {
            zip.start_file(name.as_str(), options).unwrap();
            zip.write_all(&content(index, name, part)).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }
}

/// A cell's element gets a text of its own; a cell that is not there stays so.
fn type_into(sheet: &str, cell: &str, typed: &str) -> String {
    let Some(begin) = sheet.find(&format!("<c r=\"{cell}\"")) else {
        return sheet.to_owned();
    };
    let rest = &sheet[begin..];
    let end = match (rest.find("/>"), rest.find('>')) {
        (Some(empty), Some(open)) if empty < open => empty + 2,
        _ => rest.find("</c>").map_or(rest.len(), |end| end + 4),
    };
    let escaped = typed
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace(['\0', '\u{b}'], "");
    let element = format!("<c r=\"{cell}\" t=\"inlineStr\"><is><t>{escaped}</t></is></c>");
    format!("{}{element}{}", &sheet[..begin], &rest[end..])
}

/// A small table of schools as Excel writes it.
pub(crate) fn schools_workbook() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let text = include_str!("../../deploy/registry/schools.csv");
    let lines = text.trim_start_matches('\u{feff}').lines().take(4);
    for (row, line) in (0..).zip(lines) {
        for (column, cell) in (0..).zip(line.split(',')) {
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    book.save_to_buffer().unwrap()
}

/// What a target begins with: inputs that get past the first checks, from which an engine goes on.
#[test]
#[ignore = "writes the corpora's first inputs anew; run it by hand after a format changed"]
fn write_the_first_inputs() {
    let reports = crate::report::first_inputs();
    let states = crate::journal::first_states();
    let sealed = states.iter().map(classpulse_agent::journal::encode);
    let bytes = |text: &str| text.as_bytes().to_vec();
    let schools = include_str!("../../deploy/registry/schools.csv");
    let terminals = include_str!("../../deploy/registry/terminals.csv");
    let tables = vec![bytes(schools), bytes(terminals), schools_workbook()];
    let encoded: Vec<Vec<u8>> = states.iter().map(prost::Message::encode_to_vec).collect();
    let damaged = encoded
        .iter()
        .map(|state| [&[0, 9, 3, 1][..], state].concat());
    for (target, inputs) in [
        (
            "report::decoded_means_the_same_in_both_forms",
            reports.clone(),
        ),
        ("report::every_session_is_believed_or_refused", reports),
        (
            "topic::a_topic_that_is_ours_is_written_the_same",
            vec![bytes("classpulse/v1/pc-1/report"), bytes("a.b_c-1")],
        ),
        ("journal::what_opens_seals_again", sealed.collect()),
        ("journal::damage_is_seen", damaged.collect()),
        ("journal::an_agent_starts_with_any_state", encoded),
        (
            "county::any_text_is_a_calendar_or_refused",
            vec![bytes(include_str!("../../deploy/calendar/example.toml"))],
        ),
        (
            "rubric::any_text_is_a_rubric_or_refused",
            vec![bytes(include_str!("../../deploy/rubric/example.toml"))],
        ),
        ("tables::any_file_is_a_table_or_refused", tables),
        (
            "tables::an_applied_table_is_known",
            vec![bytes(schools), bytes(terminals)],
        ),
        (
            "tables::any_part_of_a_workbook_may_lie",
            crate::tables::WORKBOOK.replaceable(),
        ),
        (
            "evidence::any_part_of_a_workbook_may_lie",
            crate::evidence::PARTS.replaceable(),
        ),
        (
            "evidence::anything_may_be_typed",
            ["3 C5 是", "4 D4 12\n4 E4 7.5", "5 F6 不适用\n3 C4 =1+1"]
                .map(bytes)
                .to_vec(),
        ),
    ] {
        let folder = target.replace("::", "__");
        let folder = format!("{}/__fuzz__/{folder}/corpus", env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(&folder).unwrap();
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(format!("{folder}/first-{number}"), input).unwrap();
        }
    }
}
