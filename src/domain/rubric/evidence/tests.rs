//! What evidence is refused, and in which words.

use super::*;
use crate::domain::rubric::DEFAULT;

/// Item, answers, which of them is unfit, what is said of it.
type Unfit = (
    &'static str,
    Vec<(&'static str, Value)>,
    &'static str,
    &'static str,
);

fn faults(stage: Stage, id: &str, values: &[(&str, Value)]) -> Vec<(String, String)> {
    let rubric = Rubric::parse(DEFAULT).unwrap();
    let values = values.iter().cloned();
    let evidence = ItemEvidence {
        values: values.map(|(key, value)| (key.to_owned(), value)).collect(),
        by: "填报员".to_owned(),
        ..ItemEvidence::default()
    };
    check(&rubric, stage, rubric.item(id).unwrap(), &evidence)
        .into_iter()
        .map(|fault| (fault.key, fault.problem))
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_unfit_is_named_with_the_mend() {
    let row = |level: &str, person| ListRow {
        title: "省信息技术大赛".to_owned(),
        level: level.to_owned(),
        prize: "一等奖".to_owned(),
        person,
        proof: String::new(),
    };
    let list = |rows: Vec<ListRow>| (LIST, Value::List(rows));
    let titled = |title: &str| {
        let title = title.to_owned();
        list(vec![ListRow {
            title,
            ..row("省", Some(1))
        }])
    };
    let n = Value::Count;
    let points = |text: &str| Value::Points(text.parse().unwrap());
    let word = |text: &str| Value::Text(text.to_owned());
    let (students, users) = ("初中以上学生数", "使用实名制空间的初中以上学生数");
    let table: Vec<Unfit> = vec![
        (
            "1.1.1",
            vec![("领导", Value::YesNo(true))],
            "领导",
            "没有这一项",
        ),
        ("4.3.1", vec![("使用时间", n(5))], "使用时间", "没有这一项"),
        ("1.2.3", vec![("有制度", n(1))], "有制度", "“是”或“否”"),
        (
            "4.1.2",
            vec![("缺席人次", n(1_000_001))],
            "缺席人次",
            "1000000",
        ),
        (
            "4.1.2",
            vec![("缺席人次", Value::NotApplicable)],
            "缺席人次",
            "不能填“不适用”",
        ),
        (
            "4.5.1",
            vec![("学生调查结果", Value::Choice("优".into()))],
            "学生调查结果",
            "好、良、一般、差",
        ),
        (
            "2.1.2",
            vec![("办公电脑台数", n(3)), ("专任教师人数", n(0))],
            "专任教师人数",
            "不小于 1",
        ),
        (
            "3.2.1",
            vec![("使用个人空间的在职教师数", n(6)), ("在职教师数", n(5))],
            "使用个人空间的在职教师数",
            "多于",
        ),
        (
            "4.7.1",
            vec![("开展互动课堂的学科数", n(6)), ("学科总数", n(5))],
            "开展互动课堂的学科数",
            "多于",
        ),
        (
            "4.1.1",
            vec![("应举行培训的学期数", n(2)), ("举行了培训的学期数", n(3))],
            "举行了培训的学期数",
            "多于",
        ),
        ("3.2.3", vec![(students, n(0))], students, "不适用"),
        (
            "3.2.3",
            vec![(students, Value::NotApplicable), (users, n(5))],
            users,
            "留空",
        ),
        (
            "1.2.2",
            vec![
                (GIVEN, points("2.01")),
                (REASON, word("x")),
                (JUDGE, word("y")),
            ],
            GIVEN,
            "0 至 2 分",
        ),
        (
            "1.2.2",
            vec![(GIVEN, points("1")), (JUDGE, word("y"))],
            GIVEN,
            "理由",
        ),
        (
            "3.3.3",
            vec![
                (GIVEN, points("5")),
                (REASON, word("x")),
                (JUDGE, word("y")),
            ],
            GIVEN,
            "先填写条件(应上报月数、已上报月数)",
        ),
        ("1.2.2", vec![(REASON, word("好"))], REASON, "没有酌情记分"),
        ("1.2.2", vec![(REASON, word(" "))], REASON, "1 至 500 字"),
        (
            "1.2.2",
            vec![
                ("有符合本校实际的维护管理制度", Value::YesNo(true)),
                (GIVEN, points("1")),
                (REASON, word("x")),
                (JUDGE, word("y")),
            ],
            GIVEN,
            "按满分记",
        ),
        (
            "5.1",
            vec![list(vec![row("省", Some(1))]), ("省一等奖", n(1))],
            LIST,
            "只填一种",
        ),
        ("5.1", vec![list(vec![row("省", None)])], LIST, "不写姓名"),
        (
            "5.1",
            vec![list(vec![row("世界", Some(1))])],
            LIST,
            "国家一等奖",
        ),
        ("5.1", vec![titled("省大赛 ")], LIST, "前后不能有空格"),
        (
            "5.1",
            vec![titled("\u{3000}省大赛")],
            LIST,
            "前后不能有空格",
        ),
        ("5.1", vec![titled("省\n大赛")], LIST, "不能换行"),
        ("5.1", vec![titled("省\t大赛")], LIST, "控制字符"),
        ("5.1", vec![list(Vec::new())], LIST, "1 至 500 行"),
        ("5.2a", vec![list(vec![row("省", Some(1))])], LIST, "省"),
    ];
    for (id, values, key, says) in table {
        let found = faults(Stage::Primary, id, &values);
        let named = found
            .iter()
            .any(|(at, problem)| at == key && problem.contains(says));
        assert!(named, "{id} {values:?}: {found:?}");
    }
}

#[test]
fn only_schools_without_such_pupils_may_say_that_a_share_does_not_apply() {
    let given = [("初中以上学生数", Value::NotApplicable)];
    assert_eq!(faults(Stage::Primary, "3.2.3", &given), []);
    assert_eq!(faults(Stage::TeachingPoint, "3.2.3", &given), []);
    let found = faults(Stage::Junior, "3.2.3", &given);
    assert!(
        found[0].1.contains("初中") && found[0].1.contains("小学、教学点"),
        "{found:?}"
    );
    assert_eq!(
        faults(
            Stage::Junior,
            "3.2.3",
            &[("初中以上学生数", Value::Count(0))]
        )[0]
        .1,
        "应不小于 1"
    );
}

#[test]
fn what_stands_around_the_answers_is_bounded() {
    let rubric = Rubric::parse(DEFAULT).unwrap();
    let subject = rubric.item("1.1.1").unwrap();
    let fit = ItemEvidence {
        source: "2025 年第 3 号文件".to_owned(),
        attachments: vec!["1-1.pdf".to_owned()],
        by: "填报员".to_owned(),
        ..ItemEvidence::default()
    };
    let problems =
        |evidence: &ItemEvidence| check(&rubric, Stage::Primary, subject, evidence).len();
    assert_eq!(problems(&fit), 0);
    let unfit = [
        ItemEvidence {
            by: String::new(),
            ..fit.clone()
        },
        ItemEvidence {
            source: "长".repeat(MAX_TEXT + 1),
            ..fit.clone()
        },
        ItemEvidence {
            source: "a\u{0}b".to_owned(),
            ..fit.clone()
        },
        ItemEvidence {
            attachments: vec!["a".to_owned(); MAX_ATTACHMENTS + 1],
            ..fit.clone()
        },
        ItemEvidence {
            attachments: vec![" ".to_owned()],
            ..fit.clone()
        },
    ];
    for evidence in unfit {
        assert_eq!(problems(&evidence), 1, "{evidence:?}");
    }
}

#[test]
fn answers_survive_their_json() {
    let text = r#"{"values":{"专任教师人数":{"count":40},"办公电脑台数":"not_applicable"},"by":"填报员","at":5}"#;
    let read: ItemEvidence = serde_json::from_str(text).unwrap();
    assert_eq!(read.values["专任教师人数"], Value::Count(40));
    let again: ItemEvidence = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
    assert!(
        serde_json::from_str::<ItemEvidence>(r#"{"values":{"a":{"count":-1}},"by":"x","at":0}"#)
            .is_err()
    );
}
