//! Rows of the terminal table: a terminal's rows together are its whole history of schools.
//!
//! Not responsible for approvals one at a time (`approve`).

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{
    row::{Column, Columns, Errors, ImportReport, Row, Snapshot},
    schools::SCHOOL_CODE,
};
use crate::{
    domain::ids::{SchoolCode, TerminalId},
    store::{Placement, RegistryChange},
};

/// Headings of the terminal table.
pub(super) const COLUMNS: [Column; 5] = [
    ("终端编号", true),
    ("学校标识码", true),
    ("教室", false),
    ("启用日期", true),
    ("停用日期", false),
];

pub(super) fn plan(
    sheets: &[Columns<'_>],
    snapshot: &Snapshot,
    report: &mut ImportReport,
    change: &mut RegistryChange,
    errors: &mut Errors,
) {
    let new_schools: Vec<SchoolCode> = change
        .schools
        .iter()
        .map(|school| school.code.clone())
        .collect();
    let mut found: BTreeMap<TerminalId, Vec<(Placement, Row<'_>)>> = BTreeMap::new();
    for row in sheets.iter().flat_map(Columns::rows) {
        let known = |school: &SchoolCode| {
            snapshot.schools.contains_key(school) || new_schools.contains(school)
        };
        let Some((terminal, placement)) = placement(&row, known, errors) else {
            continue;
        };
        let history = found.entry(terminal).or_default();
        let clash = history
            .iter()
            .find(|(other, _)| overlap(other, &placement))
            .map(|(_, other)| other.place());
        match clash {
            Some(place) => row.fail(
                errors,
                "启用日期",
                format!("与{place}的启用时段重叠,请改停用日期"),
            ),
            None => history.push((placement, row)),
        }
    }
    for (terminal, rows) in found {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let mut history: Vec<Placement> =
            rows.into_iter().map(|(placement, _)| placement).collect();
        history.sort_by_key(|placement| placement.from);
        // A terminal that waits for approval is known but stands nowhere yet: its row is new.
        let known = snapshot
            .terminals
            .get(&terminal)
            .filter(|known| !known.is_empty());
        report.count(known, &history, count);
        if known != Some(&history) {
            change.placements.push((terminal, history));
        }
    }
}

fn placement(
    row: &Row<'_>,
    known: impl Fn(&SchoolCode) -> bool,
    errors: &mut Errors,
) -> Option<(TerminalId, Placement)> {
    let terminal = row.parse(errors, "终端编号", "1 到 64 位字母、数字、“.”“_”“-”");
    let school: Option<SchoolCode> = row.parse(errors, "学校标识码", SCHOOL_CODE);
    let room = row.name(errors, "教室", true);
    let (from, to) = (row.date(errors, "启用日期"), row.date(errors, "停用日期"));
    if from == Ok(None) {
        row.fail(errors, "启用日期", "不能为空");
    }
    if let Some(school) = school.as_ref().filter(|school| !known(school)) {
        row.fail(
            errors,
            "学校标识码",
            format!("{school} 未登记,请先导入学校表"),
        );
        return None;
    }
    let (Some(terminal), Some(school), Some(room), Ok(Some(from)), Ok(to)) =
        (terminal, school, room, from, to)
    else {
        return None;
    };
    if to.is_some_and(|to| to < from) {
        row.fail(errors, "停用日期", format!("早于启用日期 {from}"));
        return None;
    }
    Some((
        terminal,
        Placement {
            school,
            room,
            from,
            to,
        },
    ))
}

fn overlap(a: &Placement, b: &Placement) -> bool {
    let end = |placement: &Placement| placement.to.unwrap_or(Date::MAX);
    a.from <= end(b) && b.from <= end(a)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{plan::plan, row::Snapshot};
    use crate::{
        store::RegistryChange,
        tables::{Limits, read},
    };

    const SCHOOLS: &str = include_str!("../../deploy/registry/schools.csv");
    const TERMINALS: &str = include_str!("../../deploy/registry/terminals.csv");

    fn planned(text: &str, snapshot: &Snapshot) -> (super::ImportReport, RegistryChange) {
        plan(
            &read(text.as_bytes(), None, Limits::TABLE).unwrap(),
            snapshot,
        )
    }

    fn apply(snapshot: &mut Snapshot, change: RegistryChange) {
        snapshot.counties.extend(
            change
                .counties
                .into_iter()
                .map(|one| (one.code.clone(), one)),
        );
        snapshot.schools.extend(
            change
                .schools
                .into_iter()
                .map(|one| (one.code.clone(), one)),
        );
        snapshot.terminals.extend(change.placements);
    }

    fn examples() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for text in [SCHOOLS, TERMINALS] {
            let (report, change) = planned(text, &snapshot);
            assert_eq!(report.errors, []);
            apply(&mut snapshot, change);
        }
        snapshot
    }

    #[test]
    fn the_examples_import_and_import_again_unchanged() {
        let snapshot = examples();
        assert_eq!((snapshot.schools.len(), snapshot.counties.len()), (12, 1));
        for text in [SCHOOLS, TERMINALS] {
            let rows = u32::try_from(text.lines().count() - 1).unwrap();
            let (report, change) = planned(text, &snapshot);
            assert_eq!(
                (report.added, report.changed, report.unchanged),
                (0, 0, rows)
            );
            assert_eq!(change, RegistryChange::default());
        }
    }

    #[test]
    fn every_mistake_is_listed_with_its_place_and_nothing_is_planned() {
        let head = "终端编号,学校标识码,教室,启用日期,停用日期\n";
        for (rows, place, words) in [
            ("教室一,2123000001,,2026-09-01,\n", (2, "终端编号"), "字母"),
            ("a,21230,,2026-09-01,\n", (2, "学校标识码"), "10 位数字"),
            ("a,2123999999,,2026-09-01,\n", (2, "学校标识码"), "未登记"),
            ("a,2123000001,,,\n", (2, "启用日期"), "不能为空"),
            ("a,2123000001,,明天,\n", (2, "启用日期"), "2026-09-01"),
            (
                "a,2123000001,,2026-09-02,2026-09-01\n",
                (2, "停用日期"),
                "早于",
            ),
            (
                "a,2123000001,,2026-09-01,\na,2123000002,,2026-10-01,\n",
                (3, "启用日期"),
                "第 2 行",
            ),
            (
                "a,2123000001,\"甲\n乙\",2026-09-01,\n",
                (2, "教室"),
                "100 字",
            ),
        ] {
            let (report, change) = planned(&format!("{head}{rows}"), &examples());
            let error = &report.errors[0];
            assert_eq!((error.row, error.column.as_str()), place, "{rows}");
            assert!(error.message.contains(words), "{}", error.message);
            assert_eq!(
                (report.errors.len(), change),
                (1, RegistryChange::default()),
                "{rows}"
            );
        }
        let head = "区县代码,区县名称,学校标识码,学校名称,学段\n";
        for (rows, place, words) in [
            ("2311,逊克县,2123000001,甲,小学\n", (2, "区县代码"), "6 位"),
            ("231123,逊克县,2123000001,甲,大学\n", (2, "学段"), "初中"),
            (
                "231123,逊克县,2123000001,,小学\n",
                (2, "学校名称"),
                "1 到 100",
            ),
            (
                "231123,逊克县,2123000001,甲,小学\n231123,孙吴县,2123000002,乙,小学\n",
                (3, "区县名称"),
                "逊克县",
            ),
            (
                "231123,逊克县,2123000001,甲,小学\n231123,逊克县,2123000001,乙,小学\n",
                (3, "学校标识码"),
                "第 2 行",
            ),
        ] {
            let (report, _) = planned(&format!("{head}{rows}"), &Snapshot::default());
            let error = &report.errors[0];
            assert_eq!((error.row, error.column.as_str()), place, "{rows}");
            assert!(error.message.contains(words), "{}", error.message);
        }
        for (text, words) in [
            ("学校名称,校长\n甲,乙\n", "不认识的列"),
            ("学校名称\n甲\n", "缺少此列"),
            ("终端编号,终端编号\na,a\n", "两次"),
            ("甲,乙\n1,2\n", "看不出"),
        ] {
            let (report, _) = planned(text, &Snapshot::default());
            assert!(
                report
                    .errors
                    .iter()
                    .any(|error| error.message.contains(words)),
                "{text}"
            );
        }
        let many = format!(
            "{}{}",
            "终端编号,学校标识码,启用日期\n",
            "?,2123000001,2026-09-01\n".repeat(1_500)
        );
        let (report, _) = planned(&many, &examples());
        assert_eq!(report.errors.len(), 1_001);
        assert!(report.errors[1_000].message.contains("500"));
    }

    #[test]
    fn a_move_is_a_history_and_a_change() {
        let text = "终端编号,学校标识码,启用日期,停用日期\nm,2123000001,2026-03-01,2026-07-10\nm,2123000002,2026-09-01,\n";
        let mut snapshot = examples();
        let (report, change) = planned(text, &snapshot);
        assert_eq!((report.added, change.placements[0].1.len()), (2, 2));
        apply(&mut snapshot, change);
        let (report, _) = planned(&text.replace("2026-07-10", "2026-07-09"), &snapshot);
        assert_eq!((report.added, report.changed), (0, 2));
    }

    proptest! {
        #[test]
        fn the_order_of_rows_says_nothing(seed in any::<u64>()) {
            let snapshot = examples();
            let fresh = Snapshot { terminals: BTreeMap::new(), ..snapshot };
            let mut lines: Vec<&str> = TERMINALS.lines().skip(1).collect();
            let expected = planned(TERMINALS, &fresh).1;
            let mut at = seed;
            for index in (1..lines.len()).rev() {
                at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                lines.swap(index, usize::try_from(at >> 33).unwrap() % (index + 1));
            }
            let text = format!("{}\n{}\n", TERMINALS.lines().next().unwrap(), lines.join("\n"));
            prop_assert_eq!(planned(&text, &fresh).1, expected);
        }
    }
}
