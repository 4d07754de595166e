//! What sheets come to: every item of the published rubric, lists, caps, the veto and readings.

use std::fmt::Write as _;

use super::*;
use crate::domain::{
    ids::{SchoolCode, Stage},
    monitoring::{self, Candidate},
    rubric::{
        DEFAULT,
        evidence::{self, Field, FieldKind, GIVEN, JUDGE, LIST, REASON},
        list::ListRow,
        points::Decimal,
    },
    usage::Fraction,
};

mod cases;
mod laws;

use cases::cases;

fn rubric() -> Rubric {
    Rubric::parse(DEFAULT).unwrap()
}

fn yes(answer: bool) -> Value {
    Value::YesNo(answer)
}

fn n(count: u64) -> Value {
    Value::Count(count)
}

fn word(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(text: &str) -> Value {
    Value::Number(text.parse().unwrap())
}

fn given(points: &str) -> Vec<(&'static str, Value)> {
    vec![
        (GIVEN, Value::Points(points.parse().unwrap())),
        (REASON, word("部分达到")),
        (JUDGE, word("评估一组")),
    ]
}

fn item(values: Vec<(&str, Value)>) -> ItemEvidence {
    ItemEvidence {
        values: values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        by: "填报员".to_owned(),
        ..ItemEvidence::default()
    }
}

/// One item's score from its answers alone.
fn scored(rubric: &Rubric, id: &str, values: Vec<(&str, Value)>) -> ItemScore {
    let evidence = item(values);
    let subject = rubric.item(id).unwrap();
    let faults = evidence::check(rubric, Stage::Primary, subject, &evidence);
    assert_eq!(faults, [], "{id}: the case itself must be fit");
    let all = SchoolEvidence::from([(id.to_owned(), evidence)]);
    score(rubric, Stage::Primary, &all, None)
        .item(id)
        .unwrap()
        .clone()
}

fn award(title: &str, level: &str, prize: &str, person: Option<u32>) -> ListRow {
    ListRow {
        title: title.to_owned(),
        level: level.to_owned(),
        prize: prize.to_owned(),
        person,
        proof: String::new(),
    }
}

#[test]
fn every_item_awards_what_its_text_says() {
    let rubric = rubric();
    let cases = cases();
    for (id, values, due) in &cases {
        let found = scored(&rubric, id, values.clone());
        assert_eq!(
            found.points.short(),
            *due,
            "{id} {values:?}: {}",
            found.reason
        );
        let says = format!("{due} 分");
        assert!(
            found.reason.contains(&says) || *id == "2.3.4",
            "{id}: the reason names the points: {}",
            found.reason
        );
    }
    for item in rubric.items() {
        let count = cases.iter().filter(|(id, ..)| *id == item.id).count();
        let measured = matches!(item.rule, Rule::CountyRatio { .. });
        assert!(count >= 2 || measured, "{} has {count} cases", item.id);
    }
}

#[test]
fn what_is_missing_scores_0_and_is_listed() {
    let rubric = rubric();
    let nothing = score(&rubric, Stage::Primary, &SchoolEvidence::new(), None);
    assert_eq!(nothing.total, Points::ZERO);
    for item in nothing.items() {
        assert_eq!(item.state, ItemState::Missing, "{}", item.id);
        assert!(
            !item.missing.is_empty() && item.reason.contains("缺少材料"),
            "{}",
            item.id
        );
    }
    // A part is there: it counts, the rest is asked for.
    let half = scored(
        &rubric,
        "1.2.3",
        vec![("有制度", yes(true)), ("有要求", yes(false))],
    );
    assert_eq!(
        (half.points.short().as_str(), half.state),
        ("1", ItemState::Missing)
    );
    assert_eq!(half.missing, ["有督查", "有奖惩"]);
    // A condition that fails already needs no other answer, but an evaluator's figure.
    let failed = scored(
        &rubric,
        "4.4.1",
        vec![("教师空间每周更新条数", number("1"))],
    );
    assert_eq!(failed.missing, [GIVEN]);
    let third = scored(
        &rubric,
        "2.1.2",
        vec![("办公电脑台数", n(1)), ("专任教师人数", n(9))],
    );
    assert_eq!(third.missing, ["每年解决部分办公室电脑"]);
}

#[test]
fn a_list_gives_what_its_counts_give_and_a_person_s_best_prize_counts_once() {
    let rubric = rubric();
    let rows = vec![
        award("省信息技术大赛", "省", "二等奖", Some(1)),
        award("省信息技术大赛", "省", "一等奖", Some(1)),
        award("省信息技术大赛", "省", "三等奖", Some(2)),
        award("市课件大赛", "市", "一等奖", Some(1)),
        award("市课件大赛", "市", "一等奖", Some(2)),
    ];
    let found = scored(&rubric, "5.1", vec![(LIST, Value::List(rows))]);
    assert_eq!(found.points.short(), "4.3", "{}", found.reason);
    assert!(
        found.reason.contains("名单 5 行") && found.reason.contains("1 行"),
        "{}",
        found.reason
    );
    let counts = vec![("省一等奖", n(1)), ("省三等奖", n(1)), ("市一等奖", n(2))];
    assert_eq!(scored(&rubric, "5.1", counts).points, found.points);
    let rows = vec![
        award("黑龙江教育网", "省", "", None),
        award("黑龙江教育网", "省", "", None),
    ];
    assert_eq!(
        scored(&rubric, "5.2a", vec![(LIST, Value::List(rows))])
            .points
            .short(),
        "1.6"
    );
}

/// The best that a school can do without awards.
fn full(rubric: &Rubric) -> SchoolEvidence {
    let mut all = SchoolEvidence::new();
    for subject in rubric.items() {
        let best = cases()
            .into_iter()
            .filter(|(id, ..)| *id == subject.id)
            .max_by_key(|(_, _, points)| points.parse::<Decimal>().unwrap());
        let values = match (subject.id.as_str(), best) {
            ("2.3.4", _) => vec![("出现重大信息安全问题(含网络安全)", yes(false))],
            (id, Some((_, values, _))) if !id.starts_with('5') => values,
            _ => continue,
        };
        all.insert(subject.id.clone(), item(values));
    }
    all
}

fn best_monitoring() -> monitoring::Score {
    let code: SchoolCode = "2123000001".parse().unwrap();
    let candidate = Candidate {
        school: code,
        stage: Stage::Primary,
        average: Fraction::new(1_402, 7),
        service_days: 7,
    };
    monitoring::score(&[candidate]).schools.remove(0)
}

#[test]
fn full_marks_are_100_no_award_tops_out_at_90_and_awards_are_capped() {
    let rubric = rubric();
    let best = best_monitoring();
    let mut evidence = full(&rubric);
    let without = score(&rubric, Stage::Primary, &evidence, Some(&best));
    assert_eq!(without.total.to_string(), "90.00");
    let lacking: Vec<&str> = without.missing().map(|(id, _)| id).collect();
    assert_eq!(lacking, ["5.1", "5.2a", "5.2b", "5.3", "5.4", "5.5", "5.6"]);

    evidence.insert("5.1".into(), item(vec![("国家一等奖", n(4))]));
    let some = score(&rubric, Stage::Primary, &evidence, Some(&best));
    assert_eq!(some.total.to_string(), "98.00");
    assert!(!some.groups[4].is_capped());
    evidence.insert("5.5".into(), item(vec![("项", n(2))]));
    assert_eq!(
        score(&rubric, Stage::Primary, &evidence, Some(&best))
            .total
            .to_string(),
        "100.00"
    );
    evidence.insert(
        "5.6".into(),
        item(vec![("开展了“专递课程”活动", yes(true))]),
    );
    let over = score(&rubric, Stage::Primary, &evidence, Some(&best));
    assert_eq!(over.total.to_string(), "100.00");
    let awards = &over.groups[4];
    assert!(awards.is_capped());
    assert_eq!(
        (awards.points.short(), awards.uncapped.short()),
        ("10".into(), "12".into())
    );
}

#[test]
fn the_veto_takes_the_indicator_or_as_the_reading_says_the_group() {
    let rubric = rubric();
    let mut evidence = full(&rubric);
    let happened = item(vec![("出现重大信息安全问题(含网络安全)", yes(true))]);
    evidence.insert("2.3.4".into(), happened);
    let sheet = score(&rubric, Stage::Primary, &evidence, Some(&best_monitoring()));
    assert_eq!(sheet.total.to_string(), "86.00");
    assert_eq!(sheet.groups[1].points.short(), "6");
    let backup = sheet.item("2.3.3").unwrap();
    assert_eq!(backup.state, ItemState::Vetoed);
    assert!(
        backup.reason.contains("安全管理") && backup.reason.contains("2 分"),
        "{}",
        backup.reason
    );
    assert_eq!(sheet.item("2.2.1").unwrap().state, ItemState::Scored);

    let stricter = rubric.with_reading("R1", "group").unwrap();
    let sheet = score(
        &stricter,
        Stage::Primary,
        &evidence,
        Some(&best_monitoring()),
    );
    assert_eq!(sheet.total.to_string(), "80.00");
    assert_eq!(sheet.groups[1].points, Points::ZERO);
}

#[test]
fn readings_turn_what_they_say() {
    let rubric = rubric();
    let students = vec![("初中以上学生数", Value::NotApplicable)];
    let met = scored(&rubric, "3.2.3", students.clone());
    assert_eq!(met.state, ItemState::NotApplicable);
    assert!(
        met.reason.contains("R3") && met.reason.contains("视为达标"),
        "{}",
        met.reason
    );
    let unmet = rubric.with_reading("R3", "unmet").unwrap();
    assert_eq!(scored(&unmet, "3.2.3", students).points, Points::ZERO);
    let above = rubric.with_reading("R2", "above").unwrap();
    let teachers = vec![("使用个人空间的在职教师数", n(4)), ("在职教师数", n(5))];
    assert_eq!(scored(&above, "3.2.1", teachers).points, Points::ZERO);

    let say = |id, word| rubric.with_reading(id, word).unwrap_err().to_string();
    assert!(
        say("R99", "met").contains("R1、R2、R3"),
        "{}",
        say("R99", "met")
    );
    assert!(say("R5", "met").contains("只是说明"));
    assert!(say("R3", "maybe").contains("unmet"));
}

#[test]
fn monitoring_is_the_school_s_share_of_the_county_s_highest() {
    let rubric = rubric();
    let school = |code: &str, counted, days| Candidate {
        school: code.parse().unwrap(),
        stage: Stage::Primary,
        average: Fraction::new(counted, days),
        service_days: 10,
    };
    let weight = rubric.monitoring_weight().value();
    let scores = monitoring::score_of(
        &[
            school("2123000001", 1_402, 1),
            school("2123000002", 1_124, 1),
            school("2123000003", 0, 1),
        ],
        weight,
    );
    let points: Vec<String> = scores
        .schools
        .iter()
        .map(|one| {
            score(&rubric, Stage::Primary, &SchoolEvidence::new(), Some(one))
                .total
                .to_string()
        })
        .collect();
    assert_eq!(points, ["15.00", "12.03", "0.00"]);
}

#[test]
fn reasons_read_well() {
    let rubric = rubric();
    let mut text = String::new();
    for (id, values, _) in cases() {
        let found = scored(&rubric, id, values);
        writeln!(text, "{id} {} {}", found.points.short(), found.reason).unwrap();
    }
    insta::assert_snapshot!(text);
}
