//! The rendered rubric holds every text and number of its data, and those of the published page.

use super::*;
use crate::{
    domain::rubric,
    tables::{self, Limits},
};

fn default() -> Rubric {
    Rubric::parse(rubric::DEFAULT).unwrap()
}

#[test]
fn every_item_has_its_row_and_weights_stand_once() {
    let rubric = default();
    let text = markdown(&rubric);
    for item in rubric.items() {
        let rows = text
            .lines()
            .filter(|line| line.contains(&format!("| {} |", item.id)));
        assert_eq!(rows.count(), 1, "{}", item.id);
        assert!(text.contains(&item.text), "{}", item.id);
    }
    assert!(
        text.contains("| 组织管理(10) | 组织机构 | 2 | 1.1.1 | 1、成立"),
        "{text}"
    );
    assert!(text.contains("教育资源公共服务平台:校本资源库"));
    assert_eq!(text.matches("教育资源公共服务平台:").count(), 1);
    assert!(text.contains("| 奖励加分(10分封顶) |  | 10 | 5.1 |"));
    assert!(text.contains("| 合计 | | 100 |"));
    assert!(text.contains("- **R3** ") && text.contains("(取值 `met`)"));
}

#[test]
fn the_workbook_says_the_same() {
    let rubric = default();
    let limits = Limits {
        columns: 99,
        cell: 999,
    };
    let sheets = tables::read(&xlsx(&rubric).unwrap(), None, limits).unwrap();
    let sheet = sheets
        .into_iter()
        .next()
        .unwrap()
        .headed_by("考核内容")
        .unwrap();
    let column = |name: &str| {
        sheet
            .headings
            .iter()
            .position(|heading| heading == name)
            .unwrap()
    };
    let (id, weight) = (column("条目"), column("权重"));
    let found: Vec<&str> = sheet
        .rows
        .iter()
        .filter_map(|(_, cells)| cells.get(id).map(String::as_str))
        .filter(|cell| !cell.is_empty())
        .collect();
    let items: Vec<&str> = rubric.items().map(|item| item.id.as_str()).collect();
    assert_eq!(found, items);
    let weights: u32 = sheet
        .rows
        .iter()
        .filter(|(_, cells)| cells[0] != "合计")
        .filter_map(|(_, cells)| cells.get(weight)?.parse::<u32>().ok())
        .sum();
    assert_eq!(weights, 100);
}

#[test]
fn a_table_is_not_broken_by_its_texts() {
    let odd = rubric::DEFAULT.replace("成立信息化办公室,", "成立|<b>办公室,");
    let text = markdown(&Rubric::parse(&odd).unwrap());
    assert!(text.contains("成立\\|&lt;b>办公室"), "{text}");
}
