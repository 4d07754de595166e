//! Evidence workbooks in strange hands: Python's openpyxl fills in a template for a hundred schools.

use std::{collections::BTreeMap, path::Path, process::Command, sync::LazyLock};

use classpulse::{
    domain::{
        ids::{SchoolCode, Stage},
        rubric::{self, Rubric, SchoolEvidence, Value, score},
    },
    sheets::evidence::{Change, Origin, read, workbook},
    store::School,
};

static RUBRIC: LazyLock<Rubric> = LazyLock::new(|| Rubric::parse(rubric::DEFAULT).unwrap());

const STAGES: [Stage; 4] = [
    Stage::Primary,
    Stage::Junior,
    Stage::NineYear,
    Stage::TeachingPoint,
];

fn schools() -> Vec<School> {
    let school = |number: u32| School {
        code: format!("21230{number:05}").parse().unwrap(),
        name: format!("逊克县第{number}学校"),
        stage: STAGES[number as usize % 4],
        township: String::new(),
        county: "231123".parse().unwrap(),
    };
    (1..=100).map(school).collect()
}

/// The run that it is all about.
fn run(empty: bool) -> Origin {
    Origin {
        county: "231123".parse().unwrap(),
        run_key: "2026".to_owned(),
        run_name: "2026 年度".to_owned(),
        revision: 1,
        empty,
    }
}

/// The template as the script leaves it.
fn filled(folder: &Path, spoil: bool) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/stock-client/bin/python");
    assert!(
        python.exists(),
        "run ./deploy/test once: it makes {}",
        python.display()
    );
    let (template, out) = (folder.join("template.xlsx"), folder.join("filled.xlsx"));
    let empty = workbook(&RUBRIC, &schools(), &BTreeMap::new(), &run(true)).unwrap();
    std::fs::write(&template, empty).unwrap();
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/it/fill_evidence.py"))
        .args([&template, &out]);
    if spoil {
        command.arg("spoil");
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(out).unwrap()
}

fn import(
    current: &BTreeMap<SchoolCode, SchoolEvidence>,
    bytes: &[u8],
) -> Result<Vec<Change>, Vec<String>> {
    let (own, at) = (run(false), 1_900_000_000);
    let result = read(&RUBRIC, &schools(), current, &own, "信息办", at, bytes);
    result
        .map(|reading| reading.changes)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn a_hundred_schools_filled_in_by_openpyxl_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = filled(folder.path(), false);
    let changes = import(&BTreeMap::new(), &bytes).unwrap();
    let asked = RUBRIC.items().filter(|item| !item.fields().is_empty());
    assert_eq!(changes.len(), 100 * asked.count());

    let mut kept: BTreeMap<SchoolCode, SchoolEvidence> = BTreeMap::new();
    for change in changes {
        let school = kept.entry(change.school).or_default();
        school.insert(change.item, change.evidence.unwrap());
    }
    for (school, number) in schools().iter().zip(1_u64..) {
        let known = &kept[&school.code];
        let value = |item: &str, key: &str| known[item].values.get(key).cloned();
        let computers = value("2.1.2", "办公电脑台数");
        assert_eq!(computers, Some(Value::Count(number % 61)));
        assert_eq!(known["1.1.1"].source, format!("档案 {number}-1.1.1"));
        assert_eq!(
            known["1.1.1"].attachments,
            [format!("{number}.pdf"), format!("=照片{number}.jpg")]
        );
        let students = match school.stage {
            Stage::Primary | Stage::TeachingPoint => Value::NotApplicable,
            _ => Value::Count(200),
        };
        assert_eq!(value("3.2.3", "初中以上学生数"), Some(students));
        let updates = if number % 2 == 0 { "4.5" } else { "5.5" };
        let updates = Value::Number(updates.parse().unwrap());
        assert_eq!(value("4.4.1", "教师空间每周更新条数"), Some(updates));
        // Two prizes of one person in one contest count as the better one.
        let sheet = score(&RUBRIC, school.stage, known, None);
        if number % 2 == 0 {
            assert_eq!(sheet.item("5.1").unwrap().points.short(), "1.5");
        }
        assert!(sheet.item("1.2.3").unwrap().missing.is_empty());
    }

    // Once more changes nothing, and neither does what goes out of it.
    assert_eq!(import(&kept, &bytes), Ok(vec![]));
    let out = workbook(&RUBRIC, &schools(), &kept, &run(false)).unwrap();
    assert_eq!(import(&kept, &out), Ok(vec![]));
}

#[test]
fn what_a_script_spoils_is_named_and_nothing_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = filled(folder.path(), true);
    let faults = import(&BTreeMap::new(), &bytes).unwrap_err();
    assert_eq!(
        faults,
        [
            "“1 组织管理”表第 4 行 D 列(1.1.1 已成立信息化工作领导小组,职责明确):公式没有结果:请在 WPS 或 Excel 中打开并保存,或改填数值",
            "“1 组织管理”表第 5 行 D 列(1.1.1 已成立信息化工作领导小组,职责明确):“也许”不对,应为“是”或“否”",
            "“名单”表第 2 行 F 列(获奖人序号):“张三”不对:同一竞赛中同一人用同一序号,从 1 起的整数,不写姓名",
        ]
    );
}
