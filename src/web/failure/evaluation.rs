//! Why an evaluation run can't do what was asked, in Chinese, with the mend.

use axum::http::StatusCode;

use crate::evaluation::EvaluationError;

pub(super) fn status(error: &EvaluationError) -> StatusCode {
    use EvaluationError as E;
    match error {
        E::NoRubric(_) | E::Unknown { .. } => StatusCode::NOT_FOUND,
        E::Rubric(_)
        | E::Reading(_)
        | E::Unfit(_)
        | E::Period { .. }
        | E::Exclusion { .. }
        | E::Exclusions(_)
        | E::MinutesFrom { .. } => StatusCode::BAD_REQUEST,
        E::NoCalendar(_)
        | E::MinutesGone { .. }
        | E::Changed { .. }
        | E::NotOver { .. }
        | E::Missing(_)
        | E::NotFrozen(_) => StatusCode::CONFLICT,
        // Those of the store are told as the store's.
        E::Calendar(_)
        | E::Evidence { .. }
        | E::Part { .. }
        | E::Store(_)
        | E::Unread(_)
        | E::CutOff(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

pub(super) fn sentence(error: &EvaluationError) -> String {
    use EvaluationError as E;
    match error {
        E::NoRubric(digest) => format!("没有保存摘要为 {digest} 的细则"),
        E::Rubric(faults) => faults.to_string(),
        E::Reading(error) => error.to_string(),
        E::NoCalendar(county) => {
            format!("区县 {county} 还没有教学日历:请先到“设置”填写教学日历")
        }
        E::Unfit(unfit) => {
            let first = unfit.first().map_or("", |one| one.problem.as_str());
            format!("有 {} 处材料不合细则,没有保存:{first}", unfit.len())
        }
        E::MinutesGone {
            kept_from, frozen, ..
        } => {
            let way = match frozen.first() {
                Some(run) => {
                    format!("请新建考核,使用分钟取自第 {run} 号考核(它冻结时已存下这段时间的分钟)")
                }
                None => "没有已冻结的考核存有这段时间的分钟,请改用更晚的考核期".to_owned(),
            };
            format!("{kept_from} 以前的逐分钟记录已按保存期限清理:{way}")
        }
        E::MinutesFrom { run, first, last } => {
            format!("第 {run} 号考核只有 {first} 至 {last} 的分钟,考核期应在其中")
        }
        E::Period { .. } => "考核期的开始日期不能晚于结束日期,最长十年".to_owned(),
        E::Exclusion {
            terminal,
            first,
            last,
        } => format!(
            "终端 {terminal} 在考核期的 {first} 至 {last} 不在本县任何学校,请核对编号和日期"
        ),
        E::Changed { .. } => {
            "成绩在您查看之后变了(材料、使用时长、学校或日历有变动),请重新查看后再冻结".to_owned()
        }
        E::NotOver { last, .. } => format!("考核期到 {last} 才结束,请从次日起再冻结"),
        E::Missing(count) => format!("还有 {count} 项材料未填,请补齐,或确认这些按 0 分计"),
        E::Exclusions(count) => format!("排除共 {count} 条,太多了:同一终端连续的日子请写成一段"),
        E::NotFrozen(run) => format!("第 {run} 号考核还是草稿,请先冻结"),
        E::Unknown { what, id } => {
            let what = match *what {
                "school" => "学校",
                "terminal" => "终端",
                "item" => "条目",
                _ => "内容",
            };
            format!("这次考核中没有{what}“{id}”")
        }
        E::CutOff(_) | E::Unread(_) => "计算中断了,请重试".to_owned(),
        E::Calendar(_) | E::Evidence { .. } | E::Part { .. } | E::Store(_) => {
            "这次考核保存的内容无法读取,详情见服务日志".to_owned()
        }
    }
}

/// What the store refuses; its own words are the operator's.
pub(super) fn conflict(said: &str) -> String {
    for (word, sentence) in [
        (
            "does not change any more",
            "考核已经冻结,不能再改;要更正,请新建一次更正考核",
        ),
        ("already", "考核已经冻结"),
        (
            "revision",
            "有人在您打开页面之后改过这次考核,请重新查看后再试",
        ),
        ("lies before its first", "结束日期不能早于开始日期"),
        (
            "no more are taken",
            "排除的条数已到上限,请把连续的日子写成一段",
        ),
        ("characters", "填写的文字过长或为空(最多 500 字)"),
        ("control character", "填写的文字中有不可见的控制字符"),
    ] {
        if said.contains(word) {
            return sentence.to_owned();
        }
    }
    format!("与已有数据冲突:{said}")
}
