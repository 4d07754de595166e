//! Files as bureaus write them, and every mistake with its line.

use super::*;
use crate::domain::rubric::{DEFAULT, rule::Rule};

/// A small sound rubric; tests spoil one line of it.
const SMALL: &str = r#"format = 1
id = "small"
title = "小细则"
total = 10
[[reading]]
id = "R1"
text = "不适用的视为达标"
not_applicable = "met"
stages = ["小学"]
[[group]]
id = "1"
name = "管理"
weight = 6
[[group.indicator]]
id = "1.1"
name = "制度"
weight = 6
[[group.indicator.item]]
id = "1.1.1"
text = "有制度"
rule.all_or_nothing = { points = 2, when = [{ met = "有制度" }] }
[[group.indicator.item]]
id = "1.1.2"
text = "比例"
rule.tiers = { part = "电脑", whole = "教师", bands = [{ at_least = "1", points = 4 }, { at_least = "1/2", points = 3 }] }
[[group]]
id = "2"
name = "加分"
weight = 4
capped = true
[[group.indicator]]
id = "2.1"
weight = 4
[[group.indicator.item]]
id = "2.1.1"
text = "获奖"
rule.counts = { unit = "次", levels = ["省", "市"], points = [[1], [0.5]] }
"#;

fn faults(text: &str) -> String {
    Rubric::parse(text).unwrap_err().to_string()
}

#[test]
fn the_embedded_rubric_has_what_the_page_has() {
    let rubric = Rubric::parse(DEFAULT).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(rubric.indicators().count(), 17);
    let (vetoes, items): (Vec<_>, Vec<_>) = rubric
        .items()
        .partition(|item| matches!(item.rule, Rule::Veto { .. }));
    assert_eq!((items.len(), vetoes.len()), (35, 1));
    let weights: Vec<String> = rubric.groups.iter().map(ToString::to_string).collect();
    assert_eq!(
        weights,
        [
            "组织管理(10)",
            "设备管理(10)",
            "平台建设(20)",
            "应用创新(45)",
            "奖励加分(10)",
            "资料装订(5)"
        ]
    );
    let weights: Vec<String> = rubric.indicators().map(|one| one.weight.short()).collect();
    assert_eq!(
        weights,
        [
            "2", "8", "4", "2", "4", "5", "5", "10", "5", "5", "15", "5", "5", "5", "5", "10", "5"
        ]
    );
    let readings: Vec<&str> = rubric.readings.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(
        readings,
        [
            "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12"
        ]
    );
    for reading in &rubric.readings {
        let used = rubric
            .items()
            .any(|item| item.readings.contains(&reading.id));
        assert!(used, "{} concerns no item", reading.id);
    }
}

#[test]
fn the_second_example_is_sound_too() {
    let text = include_str!("../../../../deploy/rubric/example.toml");
    let rubric = Rubric::parse(text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_ne!(rubric.id, Rubric::parse(DEFAULT).unwrap().id);
}

#[test]
fn every_mistake_is_named_with_its_line() {
    assert!(Rubric::parse(SMALL).is_ok());
    // Old text, new text, line, words.
    let table = [
        ("format = 1", "format = 2", 1, "format 应为 1"),
        ("id = \"small\"", "id = \"小\"", 2, "字母、数字"),
        ("total = 10", "total = 11", 4, "合计 10,与 total = 11 不符"),
        (
            "not_applicable = \"met\"",
            "not_applicable = \"yes\"",
            8,
            "met(视为达标)",
        ),
        (
            "not_applicable = \"met\"\n",
            "",
            8,
            "stages 只与 not_applicable",
        ),
        (
            "stages = [\"小学\"]",
            "stages = [\"大学\"]",
            9,
            "没有学段“大学”",
        ),
        ("id = \"2\"", "id = \"1\"", 27, "“1”重复"),
        (
            "weight = 6\n[[group.indicator]]",
            "weight = 5\n[[group.indicator]]",
            13,
            "权重为 5,二级指标权重合计 6",
        ),
        (
            "name = \"制度\"\nweight = 6",
            "name = \"制度\"\nweight = 7",
            17,
            "权重为 7,各条满分合计 6",
        ),
        ("id = \"1.1.2\"", "id = \"1.1.1\"", 23, "“1.1.1”重复"),
        ("text = \"比例\"", "text = \"\"", 24, "1 至 500 字"),
        (
            "text = \"比例\"",
            "text = \"比例\"\nreadings = [\"R9\"]",
            25,
            "没有编号为 R9 的解读",
        ),
        (
            "at_least = \"1/2\", points = 3",
            "at_least = \"2\", points = 3",
            25,
            "从高到低",
        ),
        (
            "at_least = \"1/2\", points = 3",
            "at_least = \"1/2\", points = 4",
            25,
            "从高到低",
        ),
        ("at_least = \"1/2\"", "at_least = \"一半\"", 25, "80%"),
        ("whole = \"教师\"", "whole = \"电脑\"", 25, "出现两次"),
        ("capped = true", "capped = false", 35, "没有上限"),
        ("[[1], [0.5]]", "[[1]]", 37, "应有 2 行"),
        ("[[1], [0.5]]", "[[1], [0.555]]", 37, "两位小数"),
        (
            "{ met = \"有制度\" }",
            "{ met = \"有制度\", due = \"x\" }",
            21,
            "条件应是下列之一",
        ),
        (
            "{ met = \"有制度\" }",
            "{ part = \"a\", whole = \"b\", at_least = \"120%\" }",
            21,
            "不超过 100%",
        ),
        (
            "{ met = \"有制度\" }",
            "{ part = \"a\", whole = \"b\", at_least = \"20%\", bound = \"R1\" }",
            21,
            "带 bound 选项",
        ),
        ("points = 2, when", "pionts = 2, when", 21, "pionts"),
        ("rule.all_or_nothing", "rule.script", 21, "script"),
        ("title = \"小细则\"", "title = ", 3, "写法有误"),
    ];
    for (old, new, line, words) in table {
        assert!(SMALL.contains(old), "{old}");
        let found = faults(&SMALL.replacen(old, new, 1));
        let place = format!("第 {line} 行:");
        let named = found
            .lines()
            .any(|fault| fault.starts_with(&place) && fault.contains(words));
        assert!(named, "{new}\n{found}");
    }
}

#[test]
fn all_mistakes_are_listed_at_once_and_size_is_bounded() {
    let spoilt = SMALL
        .replace("total = 10", "total = 11")
        .replace("capped = true", "capped = false");
    let found = faults(&spoilt);
    assert!(found.starts_with("细则文件有 3 处错误"), "{found}");
    assert!(faults(&"#".repeat(MAX_BYTES + 1)).contains("上限"));
}
