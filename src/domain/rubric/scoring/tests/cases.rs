//! The published rubric, item by item: written from its text, not from the code.

use super::*;

/// Item, answers, points due.
pub(super) type Case = (&'static str, Vec<(&'static str, Value)>, &'static str);

/// At least two cases an item: met, unmet, the bound exactly, just below it, and so on.
pub(super) fn cases() -> Vec<Case> {
    let groups = [
        organisation(),
        equipment(),
        platform(),
        training(),
        application(),
        awards(),
        binding(),
    ];
    groups.concat()
}

fn met(id: &'static str, ask: &'static str, points: &'static str) -> [Case; 2] {
    [
        (id, vec![(ask, yes(true))], points),
        (id, vec![(ask, yes(false))], "0"),
    ]
}

/// With an evaluator's own figure.
fn with(first: Vec<(&'static str, Value)>, points: &str) -> Vec<(&'static str, Value)> {
    [first, given(points)].concat()
}

/// 组织管理.
fn organisation() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(met("1.1.1", "已成立信息化工作领导小组,职责明确", "1"));
    cases.extend(met("1.1.2", "已成立信息化办公室,职责明确", "1"));
    cases.extend(met(
        "1.2.1",
        "年度计划、总结体现信息化应用,且有学期计划、总结",
        "2",
    ));
    let system = "有符合本校实际的维护管理制度";
    cases.extend([
        ("1.2.2", vec![(system, yes(true))], "2"),
        ("1.2.2", vec![(system, yes(false))], "0"),
        ("1.2.2", with(vec![(system, yes(false))], "1.25"), "1.25"),
        ("1.2.2", with(vec![(system, yes(false))], "2"), "2"),
    ]);
    let four = |[a, b, c, d]: [bool; 4]| {
        vec![
            ("有制度", yes(a)),
            ("有要求", yes(b)),
            ("有督查", yes(c)),
            ("有奖惩", yes(d)),
        ]
    };
    cases.extend([
        ("1.2.3", four([true; 4]), "4"),
        ("1.2.3", four([true, false, true, false]), "2"),
        ("1.2.3", four([false; 4]), "0"),
        ("1.2.3", vec![("有督查", yes(true))], "1"),
    ]);
    cases
}

/// 设备管理.
fn equipment() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(met("2.1.1", "建有信息化资产经费账和实物账", "2"));
    let desks = |computers, teachers, adding: Option<bool>| {
        let mut values = vec![
            ("办公电脑台数", n(computers)),
            ("专任教师人数", n(teachers)),
        ];
        values.extend(adding.map(|adding| ("每年解决部分办公室电脑", yes(adding))));
        values
    };
    cases.extend([
        ("2.1.2", desks(40, 40, None), "2"),
        ("2.1.2", desks(55, 40, None), "2"),
        ("2.1.2", desks(39, 40, None), "1.5"),
        ("2.1.2", desks(20, 40, None), "1.5"),
        ("2.1.2", desks(19, 40, None), "1"),
        ("2.1.2", desks(14, 42, None), "1"),
        ("2.1.2", desks(13, 42, Some(true)), "0.5"),
        ("2.1.2", desks(13, 42, Some(false)), "0"),
        ("2.1.2", desks(0, 42, Some(false)), "0"),
        // Better than the last band: whether more come each year no longer matters.
        ("2.1.2", desks(14, 42, Some(true)), "1"),
    ]);
    cases.extend(met("2.2.1", "设备管理责任表齐全,责任到人", "1"));
    cases.extend(met("2.2.2", "系统运行正常,故障率低,教师反映良好", "1"));
    cases.extend(met("2.3.1", "已做好防盗、防火、防尘、防水", "1"));
    cases.extend(met("2.3.2", "设备未存放不良视频、声音、图片、文字", "1"));
    cases.extend(met("2.3.3", "定期备份数据,数据无泄露", "2"));
    cases.extend(met("2.3.4", "出现重大信息安全问题(含网络安全)", "0"));
    cases
}

/// 平台建设.
fn platform() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(met("3.1.1", "已分年级、分科目建立校本数字资源库", "5"));
    let teachers = |users, all| {
        vec![
            ("使用个人空间的在职教师数", n(users)),
            ("在职教师数", n(all)),
        ]
    };
    cases.extend([
        ("3.2.1", teachers(4, 5), "3"),
        ("3.2.1", teachers(799, 1_000), "0"),
        ("3.2.1", teachers(5, 5), "3"),
    ]);
    let classes = |users, all| vec![("使用空间的班级数", n(users)), ("班级数", n(all))];
    cases.extend([
        ("3.2.2", classes(12, 12), "1"),
        ("3.2.2", classes(11, 12), "0"),
    ]);
    let (users, students) = ("使用实名制空间的初中以上学生数", "初中以上学生数");
    cases.extend([
        ("3.2.3", vec![(users, n(7)), (students, n(10))], "1"),
        ("3.2.3", vec![(users, n(699)), (students, n(1_000))], "0"),
        ("3.2.3", vec![(students, Value::NotApplicable)], "1"),
    ]);
    cases.extend(met("3.3.1", "已建立教师、班级、学生档案,并能管理", "3"));
    cases.extend(met("3.3.2", "帐号、密码专人管理,有存档,有交接制", "2"));
    let months = |due, done| vec![("应上报月数", n(due)), ("已上报月数", n(done))];
    cases.extend([
        ("3.3.3", months(12, 12), "5"),
        ("3.3.3", months(12, 11), "0"),
        ("3.3.3", with(months(12, 11), "4.5"), "4.5"),
    ]);
    cases
}

/// 应用创新: 培训 and 竞赛活动.
fn training() -> Vec<Case> {
    let mut cases = Vec::new();
    let training = |due, held| {
        vec![
            ("应举行培训的学期数", n(due)),
            ("举行了培训的学期数", n(held)),
        ]
    };
    cases.extend([
        ("4.1.1", training(2, 2), "2"),
        ("4.1.1", training(2, 1), "1"),
        ("4.1.1", training(2, 0), "0"),
        ("4.1.1", training(4, 0), "0"),
        ("4.1.1", training(1, 1), "2"),
    ]);
    cases.extend(
        [
            (0, "3"),
            (1, "2.5"),
            (5, "0.5"),
            (6, "0"),
            (7, "0"),
            (400, "0"),
        ]
        .map(|(absent, points)| ("4.1.2", vec![("缺席人次", n(absent))], points)),
    );
    let contests = |due, held| {
        vec![
            ("应开展活动的学期数", n(due)),
            ("开展了活动的学期数", n(held)),
        ]
    };
    cases.extend([
        ("4.2.1", contests(2, 2), "5"),
        ("4.2.1", contests(2, 1), "0"),
        ("4.2.1", contests(1, 1), "5"),
    ]);
    cases
}

/// 应用创新: the rest.
fn application() -> Vec<Case> {
    let mut cases = Vec::new();
    let students = "初中以上学生数";
    let (updates, learning) = ("教师空间每周更新条数", "能利用空间学习的初中以上学生数");
    let space =
        |a: &str, of, all| vec![(updates, number(a)), (learning, n(of)), (students, n(all))];
    cases.extend([
        ("4.4.1", space("5", 6, 10), "5"),
        ("4.4.1", space("4.99", 6, 10), "0"),
        ("4.4.1", space("5", 599, 1_000), "0"),
        ("4.4.1", with(space("4.5", 6, 10), "3"), "3"),
        (
            "4.4.1",
            vec![(updates, number("5")), (students, Value::NotApplicable)],
            "5",
        ),
        (
            "4.4.1",
            vec![(updates, number("4")), (students, Value::NotApplicable)],
            "0",
        ),
    ]);
    let choice = |ask, name: &str| vec![(ask, Value::Choice(name.to_owned()))];
    cases.extend(
        [("好", "5"), ("良", "4"), ("一般", "2"), ("差", "0")]
            .map(|(name, points)| ("4.5.1", choice("学生调查结果", name), points)),
    );
    cases.extend(
        [("省", "5"), ("市", "4"), ("县", "3"), ("无", "0")]
            .map(|(name, points)| ("4.6.1", choice("推广级别(取最高)", name), points)),
    );
    cases.extend(
        [
            (10, 10, "5"),
            (9, 10, "4"),
            (8, 10, "4"),
            (79, 100, "3"),
            (6, 10, "3"),
            (59, 100, "0"),
            (0, 9, "0"),
        ]
        .map(|(of, all, points)| {
            (
                "4.7.1",
                vec![("开展互动课堂的学科数", n(of)), ("学科总数", n(all))],
                points,
            )
        }),
    );
    cases
}

/// 奖励加分, the grid cell by cell.
fn awards() -> Vec<Case> {
    let mut cases = Vec::new();
    let grid = [
        ("国家", ["2", "1.5", "1"]),
        ("省", ["1.5", "1", "0.8"]),
        ("市", ["1", "0.8", "0.5"]),
        ("县", ["0.8", "0.5", "0.3"]),
    ];
    let keys = [
        "国家一等奖",
        "国家二等奖",
        "国家三等奖",
        "省一等奖",
        "省二等奖",
        "省三等奖",
        "市一等奖",
        "市二等奖",
        "市三等奖",
        "县一等奖",
        "县二等奖",
        "县三等奖",
    ];
    let worth = grid.iter().flat_map(|(_, points)| points);
    cases.extend(
        keys.iter()
            .zip(worth)
            .map(|(key, points)| ("5.1", vec![(*key, n(1))], *points)),
    );
    cases.extend([
        ("5.1", vec![("国家一等奖", n(0))], "0"),
        (
            "5.1",
            vec![("国家一等奖", n(3)), ("市二等奖", n(2)), ("县三等奖", n(1))],
            "7.9",
        ),
    ]);
    for (id, each) in [
        (
            "5.2a",
            vec![("国家", "1"), ("省", "0.8"), ("市", "0.5"), ("县", "0.3")],
        ),
        ("5.2b", vec![("国家", "1"), ("省", "0.5"), ("市", "0.2")]),
        ("5.3", vec![("省", "1"), ("市", "0.5")]),
        ("5.4", vec![("省", "1"), ("市", "0.8"), ("县", "0.5")]),
    ] {
        for (level, points) in each {
            cases.push((id, vec![(level, n(1))], points));
            cases.push((id, vec![(level, n(0))], "0"));
        }
    }
    cases.extend([
        ("5.5", vec![("项", n(2))], "2"),
        ("5.5", vec![("项", n(0))], "0"),
    ]);
    cases.extend(met("5.6", "开展了“专递课程”活动", "2"));
    cases
}

/// 资料装订.
fn binding() -> Vec<Case> {
    let mut cases = Vec::new();
    let bound = "按细则目录顺序规范装订";
    cases.extend([
        ("6.1", vec![(bound, yes(true))], "5"),
        ("6.1", vec![(bound, yes(false))], "0"),
        ("6.1", with(vec![(bound, yes(false))], "2.5"), "2.5"),
        ("6.1", with(vec![(bound, yes(false))], "0"), "0"),
    ]);
    cases
}
