//! The same digits in every sheet and file, nothing that a spreadsheet would run, ranks and sums.

use std::collections::BTreeMap;

use calamine::{Data, Reader as _, Xlsx};
use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        ids::Stage,
        monitoring::Candidate,
        rubric::{self, SchoolEvidence, Value, score},
    },
    sheets::sample::{self, RUBRIC, random_evidence},
};

/// Results of this many schools with random evidence and averages.
fn results(seed: u64, count: u32) -> Results {
    let schools: Vec<School> = (1..=count)
        .map(|number| {
            let stage = Stage::ALL[number as usize % Stage::ALL.len()];
            sample::school(number, stage)
        })
        .collect();
    let evidence = random_evidence(seed, &schools);
    let candidates: Vec<Candidate> = schools
        .iter()
        .zip(1..)
        .map(|(school, number)| Candidate {
            school: school.code.clone(),
            stage: school.stage,
            average: Fraction::new(10_000 + u128::from(seed % 1_000) * number, 37 + number),
            service_days: 5,
        })
        .collect();
    let county = monitoring::score(&candidates);
    let schools = schools.into_iter().map(|school| {
        let found = county.schools.iter().find(|one| one.school == school.code);
        let monitoring = found.cloned();
        let sheet = score(
            &RUBRIC,
            school.stage,
            &evidence[&school.code],
            monitoring.as_ref(),
        );
        SchoolResult {
            school,
            sheet,
            monitoring,
        }
    });
    Results {
        county: "逊克县".to_owned(),
        run: "2025-2026学年考核".to_owned(),
        period: Period {
            first: date(2025, 9, 1),
            last: date(2026, 7, 10),
        },
        state: "试算".to_owned(),
        rubric: RUBRIC.clone(),
        schools: schools.collect(),
    }
}

/// A workbook's cells by sheet: numbers as `0.00` shows them.
fn cells(bytes: &[u8]) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(bytes)).unwrap();
    let names = book.sheet_names();
    names
        .into_iter()
        .map(|name| {
            let range = book.worksheet_range(&name).unwrap();
            let shown = |cell: &Data| match cell {
                Data::Float(number) => format!("{number:.2}"),
                other => other.to_string(),
            };
            let rows = range.rows();
            (
                name,
                rows.map(|row| row.iter().map(shown).collect()).collect(),
            )
        })
        .collect()
}

fn csv_rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap();
    // Line breaks inside a cell stay as they are; rows end as on Windows.
    assert!(text.ends_with(b"\r\n"));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    let rows = reader.records();
    rows.map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_output_says_the_same_digits(seed in any::<u64>()) {
        let results = results(seed, 12);
        let book = cells(&all_xlsx(&results).unwrap());
        let summary = &book["考核评分汇总表"];
        let lines = csv_rows(&summary_csv(&results));
        let items = csv_rows(&items_csv(&results));
        let json: serde_json::Value = serde_json::from_slice(&json(&results)).unwrap();
        prop_assert_eq!(book.len(), 13);
        prop_assert_eq!(lines.len(), 1 + 12 + 2);
        for (number, ranked) in results.ranked().into_iter().enumerate() {
            let (line, row) = (&lines[number + 1], &summary[number + 4]);
            // Points stand from the fifth column on: 17 indicators, the total, two figures beside it.
            prop_assert_eq!(line.len(), 4 + 17 + 3);
            prop_assert_eq!(&line[4..], &row[4..]);
            let total = ranked.of.sheet.total.to_string();
            prop_assert_eq!(&line[21], &total);
            let found = &json["schools"][number];
            prop_assert_eq!(found["score"]["points"].as_str().unwrap(), &total);
            prop_assert_eq!(found["code"].as_str().unwrap(), ranked.of.school.code.as_str());
            let figures = figures(&results.rubric);
            let sum_of_shown: Points = figures.iter().filter_map(|one| one.of(&ranked.of.sheet)).collect::<Vec<_>>()
                .iter().map(|one| Points::from(Decimal::of_hundredths(one.hundredths()))).sum();
            prop_assert_eq!(sum_of_shown.to_string(), total.clone(), "a row adds up");

            // The school's own sheet and the long list, item by item.
            let sheet = &book[&ranked.of.school.name];
            let shown: Vec<&str> = sheet.iter().skip(5)
                .filter(|row| !row[4].is_empty() && !row[4].starts_with("小计"))
                .map(|row| row[5].as_str()).filter(|cell| !cell.is_empty()).collect();
            let of_items: Vec<String> = ranked.of.sheet.items().map(|item| item.points.to_string()).collect();
            prop_assert_eq!(shown, of_items.iter().map(String::as_str).collect::<Vec<_>>());
            let of_csv: Vec<&str> = items.iter().filter(|row| row[1] == ranked.of.school.code.as_str())
                .map(|row| row[9].as_str()).collect();
            prop_assert_eq!(of_csv, of_items.iter().map(String::as_str).collect::<Vec<_>>());
            let of_json: Vec<String> = found["groups"].as_array().unwrap().iter()
                .flat_map(|group| group["indicators"].as_array().unwrap())
                .flat_map(|one| one["items"].as_array().unwrap())
                .map(|item| item["score"]["points"].as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(of_json, of_items);
            let last = sheet.iter().find(|row| row[0] == "合计").unwrap();
            prop_assert_eq!(&last[5], &total);
        }
        for (offset, name) in [(0, "average"), (1, "sum")] {
            let (line, row) = (&lines[13 + offset], &summary[16 + offset]);
            prop_assert_eq!(&line[4..22], &row[4..22]);
            let of_json: Vec<&str> = json[name].as_array().unwrap().iter()
                .map(|one| one["points"].as_str().unwrap()).collect();
            prop_assert_eq!(of_json, line[4..22].iter().map(String::as_str).collect::<Vec<_>>());
        }
        // 合计 is what a reader gets who adds the column up.
        for column in 4..22 {
            let column_sum: u64 = lines[1..13].iter()
                .map(|line| line[column].parse::<Decimal>().unwrap())
                .map(|shown| Points::from(shown).hundredths()).sum();
            prop_assert_eq!(Points::from(Decimal::of_hundredths(column_sum)).to_string(), lines[14][column].clone());
        }
    }
}

#[test]
fn equal_totals_share_a_rank_in_the_order_of_codes() {
    let mut results = results(7, 4);
    let totals = [200, 300, 300, 100];
    for (one, total) in results.schools.iter_mut().zip(totals) {
        one.sheet.total = Decimal::of_hundredths(total).into();
    }
    // Shown alike, so a reader sees no difference.
    results.schools[1].sheet.total = Points::exactly(Fraction::new(2_999, 1_000));
    let found: Vec<(usize, &str)> = results
        .ranked()
        .into_iter()
        .map(|one| (one.rank, one.of.school.code.as_str()))
        .collect();
    let codes = ["2123000002", "2123000003", "2123000001", "2123000004"];
    assert_eq!(
        found,
        [1, 1, 3, 4].into_iter().zip(codes).collect::<Vec<_>>()
    );
}

#[test]
fn nothing_runs_in_a_spreadsheet() {
    let mut results = results(3, 2);
    for (one, name) in results
        .schools
        .iter_mut()
        .zip(["=HYPERLINK(1)", "\u{ff1d}坏"])
    {
        name.clone_into(&mut one.school.name);
        one.sheet.groups[0].indicators[0].items[0].reason = "+1".to_owned();
        one.sheet.groups[0].indicators[0].items[1].reason = "\t=1".to_owned();
    }
    let text = String::from_utf8(items_csv(&results)).unwrap();
    let rows = csv_rows(text.as_bytes());
    for row in rows.iter().flatten() {
        let first = row.chars().next();
        assert!(
            !first.is_some_and(|c| "=+-@\t\r\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c)),
            "{row}"
        );
    }
    assert!(
        text.contains("'=HYPERLINK(1)") && text.contains("'\u{ff1d}坏") && text.contains("'+1")
    );
    assert!(
        String::from_utf8(summary_csv(&results))
            .unwrap()
            .contains("'=HYPERLINK(1)")
    );
    // In a workbook a text is a text: no cell has a formula.
    let bytes = all_xlsx(&results).unwrap();
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(&bytes)).unwrap();
    for name in book.sheet_names() {
        assert!(book.worksheet_formula(&name).unwrap().is_empty(), "{name}");
    }
    assert!(
        cells(&bytes)["考核评分汇总表"]
            .iter()
            .flatten()
            .any(|cell| cell == "=HYPERLINK(1)")
    );
}

#[test]
fn what_is_plain_has_no_remark_and_the_rest_says_why() {
    let school = sample::school(1, Stage::Primary);
    let mut evidence = SchoolEvidence::new();
    for (item, key, value) in [
        (
            "1.1.1",
            "已成立信息化工作领导小组,职责明确",
            Value::YesNo(true),
        ),
        ("1.1.2", "已成立信息化办公室,职责明确", Value::YesNo(false)),
        ("3.2.3", "初中以上学生数", Value::NotApplicable),
        ("5.1", "国家一等奖", Value::Count(6)),
    ] {
        let one = evidence.entry(item.to_owned()).or_default();
        one.values.insert(key.to_owned(), value);
    }
    let results = Results {
        schools: vec![SchoolResult {
            sheet: score(&RUBRIC, school.stage, &evidence, None),
            school,
            monitoring: None,
        }],
        ..results(1, 1)
    };
    let code = results.schools[0].school.code.clone();
    let book = cells(&school_xlsx(&results, &code).unwrap().unwrap());
    let sheet = &book["考核评分表"];
    let remark = |text: &str| {
        let row = sheet.iter().find(|row| row[4].contains(text));
        row.unwrap_or_else(|| panic!("{text}: {sheet:?}"))[6].clone()
    };
    assert_eq!(remark("领导小组"), "");
    assert!(remark("信息化办公室").contains("未达到"));
    assert!(remark("初中以上学生实名制").contains("不适用"));
    assert!(remark("班级空间使用率").contains("缺少材料"));
    assert!(remark("荣获一、二、三等奖").contains("6 人次"));
    assert_eq!(
        remark("小计(10 分封顶)"),
        "各条合计 12 分,超过 10 分的部分不计。"
    );
    assert_eq!(
        school_xlsx(&results, &"2123009999".parse().unwrap()).unwrap(),
        None
    );
    let waiting = &results.schools[0].sheet.item("4.3.1").unwrap().missing;
    assert_eq!(waiting, &["后台监测结果"]);
}

#[test]
fn a_capped_group_of_several_indicators_has_a_column_for_its_cap() {
    let two = rubric::DEFAULT.replace(
        "[[group.indicator.item]]\nid = \"5.6\"",
        "[[group.indicator]]\nid = \"5.x\"\nname = \"专递\"\nweight = 2\n\n[[group.indicator.item]]\nid = \"5.6\"",
    );
    let two = two.replace(
        "id = \"5\"\nweight = 10\n\n[[group.indicator.item]]",
        "id = \"5\"\nname = \"获奖\"\nweight = 8\n\n[[group.indicator.item]]",
    );
    let rubric = Rubric::parse(&two).unwrap();
    let headings: Vec<String> = figures(&rubric).iter().map(|one| one.heading()).collect();
    assert!(headings.contains(&"专递(2)".to_owned()), "{headings:?}");
    assert!(
        headings.contains(&"奖励加分(10分封顶)".to_owned()),
        "{headings:?}"
    );
    assert_eq!(headings.len(), 19);
}
