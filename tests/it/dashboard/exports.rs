//! Every table of every page can be had as CSV and as XLSX, and both say the same.

use std::{collections::BTreeSet, io::Cursor};

use calamine::{Data, Reader as _, Xlsx};
use classpulse::registry;

use super::{PAGES, county::Morning};
use crate::support::JUNIOR;

/// The rows of a CSV file, without the mark that Excel wants before them.
fn of_csv(content: &[u8]) -> Vec<Vec<String>> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(content);
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| row.iter().map(ToOwned::to_owned).collect())
        .collect()
}

/// The rows of a workbook from its headings on.
fn of_xlsx(content: Vec<u8>) -> Vec<Vec<String>> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(content)).unwrap();
    let sheet = book.worksheet_range_at(0).unwrap().unwrap();
    let text = |cell: &Data| cell.to_string();
    sheet
        .rows()
        .skip(2)
        .map(|row| row.iter().map(text).collect())
        .collect()
}

/// As a figure, where it is one: a workbook holds 12.50 as a number.
fn plain(text: &str) -> String {
    // What a spreadsheet would run is marked in CSV, and plain text in a workbook.
    let text = text.strip_prefix('\'').unwrap_or(text);
    let whole = text.len() < 15 && !text.starts_with('0');
    match text.parse::<f64>() {
        Ok(number) if whole || number < 1.0 => number.to_string(),
        _ => text.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_can_be_downloaded_both_ways() {
    let morning = Morning::start().await;
    morning.run().await;
    let mut found = BTreeSet::new();
    for (address, _) in PAGES {
        let (status, _, body) = morning.get(address).await;
        assert_eq!(status, 200, "{address}");
        let page = String::from_utf8(body).unwrap();
        let path = address.split('?').next().unwrap();
        let keys = page.split("data-table=\"").skip(1);
        let keys = keys.map(|rest| rest.split('"').next().unwrap());
        for key in keys {
            let mut forms = Vec::new();
            for format in ["csv", "xlsx"] {
                let ending = format!("format={format}&amp;table={key}\"");
                let links = page.split("href=\"").skip(1);
                let link = links
                    .filter_map(|rest| Some(format!("{}\"", rest.split_once('"')?.0)))
                    .find(|link| link.ends_with(&ending));
                let link = link.unwrap_or_else(|| panic!("{address} {key} has no {format}"));
                let link = link.trim_end_matches('"').replace("&amp;", "&");
                let (status, head, content) = morning.get(&format!("{path}{link}")).await;
                assert_eq!(status, 200, "{path}{link}");
                assert!(head.contains("content-disposition: attachment"), "{head}");
                forms.push(content);
            }
            let (xlsx, csv) = (forms.pop().unwrap(), forms.pop().unwrap());
            let (csv, xlsx) = (of_csv(&csv), of_xlsx(xlsx));
            assert!(csv.len() > 1, "{address} {key} has rows");
            found.insert(format!("{path} {key}"));
            if key == "audit" {
                // The one download is recorded before the other.
                assert_eq!((csv.len() + 1, &csv[0]), (xlsx.len(), &xlsx[0]));
                continue;
            }
            assert_eq!(csv.len(), xlsx.len(), "{address} {key}");
            for (one, other) in csv.iter().zip(&xlsx) {
                let one: Vec<String> = one.iter().map(|cell| plain(cell)).collect();
                let other: Vec<String> = other.iter().map(|cell| plain(cell)).collect();
                assert_eq!(one, other, "{address} {key}");
            }
        }
    }
    for known in [
        "/ schools",
        "/schools/2123000001 rates",
        "/quality silent",
        "/audit audit",
    ] {
        assert!(found.contains(known), "{known} is not among {found:?}");
    }
    assert!(found.len() > 15, "{found:?}");
    morning.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminals_go_out_as_they_came_in() {
    let morning = Morning::start().await;
    let (_, _, page) = morning.get("/settings").await;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("format=csv&amp;table=terminals"));
    let (status, _, content) = morning.get("/settings?format=csv&table=terminals").await;
    assert_eq!(status, 200);
    let rows = of_csv(&content);
    assert_eq!(
        rows[0],
        ["终端编号", "学校标识码", "教室", "启用日期", "停用日期"]
    );
    assert_eq!(rows[1], ["J-1", JUNIOR, "七年一班", "2025-09-01", ""]);
    assert_eq!(rows.len(), 5);
    // Taken back, nothing of it is new.
    let store = morning.app.store.as_ref();
    let taken = registry::import(store, &content, None, "终端.csv", true).await;
    let report = taken.unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert_eq!((report.added, report.changed, report.unchanged), (0, 0, 4));
    morning.stop().await;
}
