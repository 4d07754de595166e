//! What goes out comes back; what does not fit is named at its cell.

use proptest::prelude::*;
use rust_xlsxwriter::{Workbook, Worksheet};

use super::*;
use crate::{
    domain::rubric::{self, SchoolEvidence, evidence::LIST, list::ListRow},
    sheets::sample::{Evidence, RUBRIC, random_evidence, schools},
    tables::{self, Limits},
};

mod stale;

/// A run at this revision.
fn run_at(revision: i64) -> Origin {
    Origin {
        county: "231123".parse().unwrap(),
        run_key: "k26".to_owned(),
        run_name: "2026 年度".to_owned(),
        revision,
        empty: false,
    }
}

/// Exports at revision 7.
fn export(evidence: &Evidence) -> Vec<u8> {
    workbook(&RUBRIC, &schools(), evidence, &run_at(7)).unwrap()
}

/// Imports while the run is at this revision.
fn import_at(revision: i64, current: &Evidence, bytes: &[u8]) -> Result<Reading, Vec<CellFault>> {
    let own = run_at(revision);
    read(
        &RUBRIC,
        &schools(),
        current,
        &own,
        "李",
        1_900_000_000,
        bytes,
    )
}

fn import(current: &Evidence, bytes: &[u8]) -> Result<Vec<Change>, Vec<CellFault>> {
    import_at(7, current, bytes).map(|reading| reading.changes)
}

fn applied(mut current: Evidence, changes: Vec<Change>) -> Evidence {
    for change in changes {
        let school = current.entry(change.school).or_default();
        match change.evidence {
            Some(evidence) => school.insert(change.item, evidence),
            None => school.remove(&change.item),
        };
    }
    current.retain(|_, known| !known.is_empty());
    current
}

/// The same evidence as somebody else would have entered it later, lists in a fixed order.
fn by_other(mut evidence: Evidence) -> Evidence {
    for one in evidence.values_mut().flat_map(BTreeMap::values_mut) {
        one.by = "李".to_owned();
        one.at = 1_900_000_000;
        if let Some(Value::List(rows)) = one.values.get_mut(LIST) {
            rows.sort();
        }
    }
    evidence.retain(|_, known| !known.is_empty());
    evidence
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_goes_out_comes_back(seed in any::<u64>()) {
        let evidence = random_evidence(seed, &schools());
        let book = export(&evidence);
        prop_assert_eq!(import(&evidence, &book), Ok(vec![]), "seed {}", seed);
        let fresh = import(&Evidence::new(), &book).unwrap();
        let taken = applied(Evidence::new(), fresh);
        prop_assert_eq!(by_other(taken), by_other(evidence.clone()), "seed {}", seed);
        // Over other evidence: what it does not say is gone.
        let other = random_evidence(seed ^ 1, &schools());
        let changed = applied(other.clone(), import(&other, &book).unwrap());
        prop_assert_eq!(by_other(changed), by_other(evidence), "seed {}", seed);
    }
}

#[test]
fn the_template_changes_nothing_where_nothing_is_known() {
    let book = export(&Evidence::new());
    assert_eq!(import(&Evidence::new(), &book), Ok(vec![]));
    let names: Vec<String> = tables::read(
        &book,
        None,
        Limits {
            columns: 999,
            cell: 9_999,
        },
    )
    .unwrap()
    .into_iter()
    .map(|sheet| sheet.name)
    .collect();
    assert_eq!(
        names,
        [
            "说明",
            "1 组织管理",
            "2 设备管理",
            "3 平台建设",
            "4 应用创新",
            "5 奖励加分",
            "6 资料装订",
            "名单",
            MARKER
        ]
    );
}

/// A workbook with one sheet of answers, as somebody may send only that.
fn sheet(headings: &[&str], rows: &[&[&str]]) -> Vec<u8> {
    book(&[("材料", headings, rows)])
}

fn fill(sheet: &mut Worksheet, headings: &[&str], rows: &[&[&str]]) {
    for (row, cells) in (0..).zip([headings].iter().chain(rows)) {
        for (column, cell) in (0..).zip(*cells) {
            sheet.write_string(row, column, *cell).unwrap();
        }
    }
}

/// A sheet's name, headings and rows.
type Filled<'a> = (&'a str, &'a [&'a str], &'a [&'a [&'a str]]);

/// The same as the run's latest workbook.
fn latest(sheets: &[Filled<'_>]) -> Vec<u8> {
    let words = run_at(7).words(&RUBRIC);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    book(&[&[(MARKER, words.as_slice(), [].as_slice())], sheets].concat())
}

fn book(sheets: &[Filled<'_>]) -> Vec<u8> {
    let mut book = Workbook::new();
    for (name, headings, rows) in sheets {
        let sheet = book.add_worksheet().set_name(*name).unwrap();
        fill(sheet, headings, rows);
    }
    book.save_to_buffer().unwrap()
}

const MET: &str = "1.1.1 已成立信息化工作领导小组,职责明确";
const ONE: &str = "2123000001";
const TWO: &str = "2123000002";

/// The faults as `sheet row column: problem`.
fn faults(result: Result<Vec<Change>, Vec<CellFault>>) -> Vec<String> {
    let line = |fault: CellFault| {
        format!(
            "{}!{}{} {}",
            fault.sheet, fault.column, fault.row, fault.problem
        )
    };
    result.unwrap_err().into_iter().map(line).collect()
}

fn known(values: &[(&str, Value)]) -> ItemEvidence {
    let values = values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    ItemEvidence {
        values: values.collect(),
        by: "张".to_owned(),
        at: 7,
        ..ItemEvidence::default()
    }
}

fn of_first(item: &str, evidence: ItemEvidence) -> Evidence {
    let known = SchoolEvidence::from([(item.to_owned(), evidence)]);
    Evidence::from([(ONE.parse().unwrap(), known)])
}

#[test]
fn only_what_differs_changes_and_an_emptied_cell_removes() {
    let current = of_first(
        "1.1.1",
        known(&[("已成立信息化工作领导小组,职责明确", Value::YesNo(true))]),
    );
    let unchanged = sheet(&[CODE, MET], &[&[ONE, "是"]]);
    assert_eq!(import(&current, &unchanged), Ok(vec![]));

    let with_source = sheet(&["1.1.1 材料依据", CODE], &[&["会议记录", ONE], &["", TWO]]);
    let changes = import(&current, &with_source).unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let evidence = changes[0].evidence.as_ref().unwrap();
    assert_eq!(
        (evidence.source.as_str(), evidence.by.as_str()),
        ("会议记录", "李")
    );
    assert_eq!(evidence.values.len(), 1, "the answer stays");

    let emptied = latest(&[("材料", &[CODE, MET, "1.1.1 附件"], &[&[ONE]])]);
    let reading = import_at(7, &current, &emptied).unwrap();
    assert_eq!(reading.changes.len(), 1);
    assert_eq!(reading.changes[0].evidence, None);
    assert_eq!((reading.removed(), reading.note()), (1, None));
}

#[test]
fn attachments_are_parted_by_lines_and_semicolons() {
    let bytes = sheet(
        &[CODE, "1.1.1 附件"],
        &[&[ONE, "甲.pdf; 乙.pdf\u{ff1b}丙\n丁;"]],
    );
    let changes = import(&Evidence::new(), &bytes).unwrap();
    let evidence = changes[0].evidence.as_ref().unwrap();
    assert_eq!(evidence.attachments, ["甲.pdf", "乙.pdf", "丙", "丁"]);
    let current = of_first("1.1.1", evidence.clone());
    assert_eq!(
        import(&current, &bytes),
        Ok(vec![]),
        "written otherwise, but the same"
    );
}

#[test]
fn every_mistake_is_at_its_cell() {
    let headings = [
        CODE,
        "学校",
        MET,
        "2.1.2 办公电脑台数",
        "4.4.1 教师空间每周更新条数",
        "4.5.1 学生调查结果",
        "1.2.2 酌情记分",
        "3.2.3 初中以上学生数",
        "1.1.1 没有这一问",
        "9.9 问",
        "",
        MET,
    ];
    let rows: [&[&str]; 6] = [
        &[ONE, "第1学校", "对", "1.5", "3.333", "优", "3", "无"],
        &[TWO, "第1学校", "是"],
        &["2123009999", "某校"],
        &["", "某校"],
        &[ONE],
        &["2123000003", "", "", "", "", "", "1", "", "", "", "迷路"],
    ];
    let found = faults(import(&Evidence::new(), &sheet(&headings, &rows)));
    assert_eq!(
        found,
        [
            "材料!I1 不认识的列:条目 1.1.1 的列为 已成立信息化工作领导小组,职责明确、材料依据、附件",
            "材料!J1 不认识的列:列名应为“条目编号 问题”,如“1.1.1 材料依据”;本细则没有条目“9.9”",
            "材料!L1 此列出现了两次,请删去一列",
            "材料!C2 “对”不对,应为“是”或“否”",
            "材料!D2 “1.5”不对,应为0 至 1000000 的整数",
            "材料!E2 “3.333”不对,应为不小于 0、最多两位小数的数",
            "材料!F2 “优”不对,应为 好、良、一般、差 之一",
            "材料!G2 应为 0 至 2 分",
            "材料!H2 “无”不对,应为0 至 1000000 的整数或“不适用”",
            "材料!B3 2123000002 是“第2学校”,这里写的是“第1学校”:请核对本行是否填错了学校(例如只对部分列排了序)",
            "材料!A4 “2123009999”不是本次考核的学校,请核对学校标识码",
            "材料!A5 缺学校标识码,不知道是哪所学校",
            "材料!A6 2123000001 与第 2 行重复,一所学校只能有一行",
            "材料!G7 先填写条件(有符合本校实际的维护管理制度),未达到才酌情记分",
            "材料!G7 酌情记分须同时写明酌情理由和评分人",
            "材料!K7 此列没有列名,内容无处可归:请移到有列名的列或删去",
        ]
    );
}

#[test]
fn contradictions_are_found_with_what_is_kept() {
    // 不适用 only for the stages that the reading names; the part stays empty then.
    let headings = [
        CODE,
        "3.2.3 使用实名制空间的初中以上学生数",
        "3.2.3 初中以上学生数",
    ];
    let rows: [&[&str]; 2] = [&[ONE, "5", "不适用"], &[TWO, "", "不适用"]];
    let found = faults(import(&Evidence::new(), &sheet(&headings, &rows)));
    assert_eq!(
        found,
        [
            "材料!B2 “初中以上学生数”填了“不适用”,本项应留空",
            "材料!C3 本校学段是初中,只有小学、教学点、幼儿园可以填“不适用”",
        ]
    );
    // The other half of the contradiction is kept, not in the workbook.
    let current = of_first("2.1.2", known(&[("专任教师人数", Value::Count(0))]));
    let found = faults(import(
        &current,
        &sheet(&[CODE, "2.1.2 办公电脑台数"], &[&[ONE, "3"]]),
    ));
    assert_eq!(found, ["材料!B2 “专任教师人数”应不小于 1"]);
}

const AWARDS: [&str; 7] = [
    CODE,
    "条目",
    "名称",
    "级别",
    "奖次",
    "获奖人序号",
    "证书号或日期",
];

#[test]
fn lists_are_read_and_their_mistakes_are_at_their_cells() {
    let rows: [&[&str]; 9] = [
        &[ONE, "5.1", "课件大赛", "省", "一等奖", "1", "2026-05-01"],
        &[ONE, "5.2a", "通讯", "县", "", "", ""],
        &[ONE, "5.1", "", "省", "特等奖", "张三", ""],
        &[ONE, "5.1", "课件大赛", "校", "一等奖", "0", ""],
        &[ONE, "5.2b", "报道", "县", "", "", ""],
        &[ONE, "5.2a", "通讯", "县", "一等奖", "2", ""],
        &["2123009999", "5.1", "课件大赛", "省", "一等奖", "1", ""],
        &[ONE, "5.6", "课件大赛", "", "", "", ""],
        &["", "", "漏了", "", "", "", ""],
    ];
    let good = book(&[("名单", &AWARDS, &rows[..2])]);
    let changes = import(&Evidence::new(), &good).unwrap();
    assert_eq!(changes.len(), 2);
    let evidence = changes[0].evidence.clone().unwrap();
    let Some(Value::List(list)) = evidence.values.get(LIST) else {
        panic!("{evidence:?}");
    };
    assert_eq!(
        (list[0].person, list[0].proof.as_str()),
        (Some(1), "2026-05-01")
    );

    let found = faults(import(&Evidence::new(), &book(&[("名单", &AWARDS, &rows)])));
    let cells: Vec<&str> = found
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        cells,
        [
            "名单!C4",
            "名单!E4",
            "名单!F4",
            "名单!D5",
            "名单!F5",
            "名单!D6",
            "名单!E7",
            "名单!F7",
            "名单!A8",
            "名单!B9",
            "名单!A10",
            "名单!B10",
        ],
        "{found:#?}"
    );
    assert!(found[1].contains("一等奖、二等奖、三等奖"), "{}", found[1]);
    assert!(found[6].contains("应留空"), "{}", found[6]);
}

#[test]
fn the_order_of_a_list_says_nothing() {
    let rows: [&[&str]; 3] = [
        &[ONE, "5.2a", "丙", "县", "", "", ""],
        &[ONE, "5.2a", "甲", "县", "", "", ""],
        &[ONE, "5.2a", "乙", "省", "", "", ""],
    ];
    let changes = import(&Evidence::new(), &book(&[("名单", &AWARDS, &rows)])).unwrap();
    let current = of_first("5.2a", changes[0].evidence.clone().unwrap());
    let sorted = [rows[1], rows[2], rows[0]];
    assert_eq!(
        import(&current, &book(&[("名单", &AWARDS, &sorted)])),
        Ok(vec![])
    );
    let fewer = import(&current, &latest(&[("名单", &AWARDS, &sorted[1..])])).unwrap();
    assert_eq!(fewer.len(), 1);
}

#[test]
fn a_list_and_counts_are_refused_together() {
    let counts: &[&[&str]] = &[&[ONE, "2"]];
    let rows: &[&[&str]] = &[&[ONE, "5.1", "课件大赛", "省", "一等奖", "1", ""]];
    let both = book(&[
        ("奖", &[CODE, "5.1 省一等奖"], counts),
        ("名单", &AWARDS, rows),
    ]);
    let found = faults(import(&Evidence::new(), &both));
    assert_eq!(found, ["名单!B2 名单与数量只填一种:有名单时数量由名单得出"]);
}

#[test]
fn a_list_goes_only_where_its_item_is_there_too() {
    let row = ListRow {
        title: "课件大赛".to_owned(),
        level: "省".to_owned(),
        prize: "一等奖".to_owned(),
        person: Some(1),
        proof: String::new(),
    };
    let current = of_first("5.1", known(&[(LIST, Value::List(vec![row]))]));
    let none: &[&[&str]] = &[];
    let alone = latest(&[
        ("名单", &AWARDS, none),
        ("组织", &[CODE, MET], &[&[ONE, "是"]]),
    ]);
    let changes = import(&current, &alone).unwrap();
    assert_eq!(changes.len(), 1, "only 1.1.1: {changes:?}");
    let counted = latest(&[
        ("名单", &AWARDS, none),
        ("奖", &[CODE, "5.1 省一等奖"], &[&[ONE, "2"]]),
    ]);
    let changes = import(&current, &counted).unwrap();
    assert_eq!(
        changes[0].evidence.as_ref().unwrap().values,
        BTreeMap::from([("省一等奖".to_owned(), Value::Count(2))])
    );
}

#[test]
fn other_workbooks_are_refused_with_a_sentence() {
    let marker = |words: &[&str; 3]| book(&[(MARKER, words, &[]), ("材料", &[CODE, MET], &[])]);
    let found = faults(import(
        &Evidence::new(),
        &marker(&[KIND, "other-2020", FORMAT]),
    ));
    assert!(
        found[0].contains("other-2020") && found[0].contains("xunke-2018"),
        "{found:?}"
    );
    let found = faults(import(
        &Evidence::new(),
        &marker(&[KIND, "xunke-2018", "9"]),
    ));
    assert!(found[0].contains("格式版本"), "{found:?}");
    let found = faults(import(&Evidence::new(), "学校标识码\n".as_bytes()));
    assert!(found[0].contains(".xlsx"), "{found:?}");
    let found = faults(import(&Evidence::new(), &book(&[("甲", &["乙"], &[])])));
    assert!(found[0].contains(CODE), "{found:?}");
    let found = faults(import(&Evidence::new(), &book(&[("名单", &["条目"], &[])])));
    assert!(found[0].contains("缺少“学校标识码”列"), "{found:?}");
    let book = sheet(&[CODE, MET], &[&[ONE, "是"]]);
    let nobody = read(
        &RUBRIC,
        &schools(),
        &Evidence::new(),
        &run_at(7),
        " ",
        0,
        &book,
    );
    assert!(faults(nobody.map(|reading| reading.changes))[0].contains("填报人"));
}

#[test]
fn two_sheets_may_not_hold_the_same_column() {
    let rows: &[&[&str]] = &[&[ONE, "是"]];
    let twice = book(&[("甲", &[CODE, MET], rows), ("乙", &[CODE, MET], rows)]);
    let found = faults(import(&Evidence::new(), &twice));
    assert_eq!(found, ["乙!B1 此列在“甲”表中已有,请删去一处"]);
}

#[test]
fn a_second_list_is_refused_by_its_name() {
    let one: &[&[&str]] = &[&[ONE, "5.2a", "甲", "县", "", "", ""]];
    let two: &[&[&str]] = &[&[ONE, "5.2a", "乙", "县", "", "", ""]];
    let twice = book(&[("名单", &AWARDS, one), ("名单 (2)", &AWARDS, two)]);
    let found = faults(import(&Evidence::new(), &twice));
    assert_eq!(
        found,
        [
            "名单 (2)!1 “名单”表已是名单,一个工作簿只能有一张:请把“名单 (2)”表的内容并入其中,再删去此表"
        ]
    );
}

#[test]
fn long_choices_and_strange_names_still_make_a_workbook() {
    let long = rubric::DEFAULT
        .replace("name = \"组织管理\"", "name = \"组织/管理[一]:*?\"")
        .replace("[\"好\", 5]", &format!("[\"{}\", 5]", "好,".repeat(150)));
    let rubric = Rubric::parse(&long).unwrap();
    let (nothing, own) = (Evidence::new(), run_at(7));
    for schools in [schools(), Vec::new()] {
        let book = workbook(&rubric, &schools, &nothing, &own).unwrap();
        let none = read(&rubric, &schools, &nothing, &own, "李", 1, &book);
        assert_eq!(none, Ok(Reading::default()));
    }
}

#[test]
fn faults_read_as_sentences() {
    let found = import(&Evidence::new(), &sheet(&[CODE, MET], &[&[ONE, "对"]])).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "“材料”表第 2 行 B 列(1.1.1 已成立信息化工作领导小组,职责明确):“对”不对,应为“是”或“否”"
    );
}
