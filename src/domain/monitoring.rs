//! 后台监测: the rubric's item 4.3.1, 15 × (school's average ÷ the county's highest average), exact.
//!
//! Not responsible for the averages (`usage`), nor for the rest of the rubric.

use super::{
    ids::{SchoolCode, Stage},
    usage::{Fraction, display, hundredths, ranking},
};

/// The weight of 后台监测 in the rubric (应用创新, 4.3.1).
pub const WEIGHT: u128 = 15;

/// One school, as the formula sees it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// 学校标识码.
    pub school: SchoolCode,
    /// School stage (学段), for the comparison beside the points.
    pub stage: Stage,
    /// Minutes per terminal per teaching day.
    pub average: Fraction,
    /// Σ in-service teaching days; 0 means that the school has nothing to be measured by.
    pub service_days: u64,
}

/// One school's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// 学校标识码.
    pub school: SchoolCode,
    /// Minutes per terminal per teaching day.
    pub average: Fraction,
    /// 0 to the weight, exact.
    pub points: Fraction,
    /// The points as they would be among schools of the same stage. For comparison only.
    pub stage_points: Fraction,
    /// Why, in one Chinese sentence.
    pub reason: String,
}

/// A county's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountyScores {
    /// The highest average.
    pub highest: Fraction,
    /// Who set it; several where averages are equal, none where the highest is 0.
    pub highest_schools: Vec<SchoolCode>,
    /// Highest points first, equals by school code.
    pub schools: Vec<Score>,
}

/// Scores a county's schools against its highest average, with the published weight.
#[must_use]
pub fn score(candidates: &[Candidate]) -> CountyScores {
    score_of(candidates, Fraction::from_integer(WEIGHT))
}

/// The same with the weight of a county's own rubric.
#[must_use]
pub fn score_of(candidates: &[Candidate], weight: Fraction) -> CountyScores {
    let zero = Fraction::from_integer(0);
    let highest_of = |stage: Option<Stage>| {
        let same = candidates
            .iter()
            .filter(|school| stage.is_none_or(|stage| stage == school.stage));
        same.map(|school| school.average).max().unwrap_or(zero)
    };
    let highest = highest_of(None);
    let mut schools: Vec<Score> = candidates
        .iter()
        .map(|school| {
            let points = ratio(school.average, highest, weight);
            Score {
                school: school.school.clone(),
                average: school.average,
                points,
                stage_points: ratio(school.average, highest_of(Some(school.stage)), weight),
                reason: reason(school, highest, weight, points),
            }
        })
        .collect();
    schools.sort_by(|a, b| ranking((a.points, &a.school), (b.points, &b.school)));
    let top = schools
        .iter()
        .filter(|score| highest > zero && score.average == highest);
    CountyScores {
        highest,
        highest_schools: top.map(|score| score.school.clone()).collect(),
        schools,
    }
}

fn ratio(average: Fraction, highest: Fraction, weight: Fraction) -> Fraction {
    let zero = Fraction::from_integer(0);
    if highest == zero {
        zero
    } else {
        average / highest * weight
    }
}

fn reason(school: &Candidate, highest: Fraction, weight: Fraction, points: Fraction) -> String {
    if school.service_days == 0 {
        return "本校在考核时段内没有在用终端,记0分。".to_owned();
    }
    if highest == Fraction::from_integer(0) {
        return "全县各校计入时间均为0,记0分。".to_owned();
    }
    let weight = display(weight);
    let weight = weight.trim_end_matches('0').trim_end_matches('.');
    format!(
        "计 {} 分钟/台·日,全县最高 {} 分钟/台·日,{} ÷ {} × {weight} = {} 分。",
        display(school.average),
        display(highest),
        display(school.average),
        display(highest),
        display(points),
    )
}

/// The points in hundredths as a sheet shows them, 0 to 1,500, rounded half up.
#[must_use]
pub fn points_hundredths(points: Fraction) -> u32 {
    u32::try_from(hundredths(points)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn school(index: usize, counted: u64, days: u64) -> Candidate {
        Candidate {
            school: format!("21230{index:05}").parse().unwrap(),
            stage: if index.is_multiple_of(2) {
                Stage::Primary
            } else {
                Stage::Junior
            },
            average: if days == 0 {
                Fraction::from_integer(0)
            } else {
                Fraction::new(counted.into(), days.into())
            },
            service_days: days,
        }
    }

    #[test]
    fn the_design_s_own_example() {
        let scores = score(&[school(0, 1_124, 1), school(1, 1_402, 1)]);
        assert_eq!(scores.schools[1].points, Fraction::new(15 * 1_124, 1_402));
        assert_eq!(points_hundredths(scores.schools[1].points), 1_203);
        assert!(
            scores.schools[1].reason.contains("1124.00")
                && scores.schools[1].reason.contains("12.03")
        );
        assert_eq!(scores.schools[1].stage_points, Fraction::from_integer(15));
    }

    #[test]
    fn nothing_to_divide_by_gives_0_and_says_why() {
        let scores = score(&[school(0, 0, 10), school(1, 0, 0)]);
        assert!(scores.highest_schools.is_empty());
        assert!(
            scores
                .schools
                .iter()
                .all(|school| school.points == Fraction::from_integer(0))
        );
        assert!(scores.schools[0].reason.contains("均为0"));
        assert!(scores.schools[1].reason.contains("没有在用终端"));
        assert!(score(&[]).schools.is_empty());
    }

    proptest! {
        #[test]
        fn points_stay_in_range_and_the_best_gets_all(
            sums in proptest::collection::vec((0..3_000_000_u64, 0..50_000_u64), 1..30),
            turn in 0..30_usize,
        ) {
            let mut candidates: Vec<_> =
                sums.iter().enumerate().map(|(index, (counted, days))| school(index, *counted, *days)).collect();
            let scores = score(&candidates);
            let full = Fraction::from_integer(WEIGHT);
            prop_assert!(scores.schools.iter().all(|school| school.points <= full));
            if scores.highest > Fraction::from_integer(0) {
                prop_assert_eq!(scores.schools[0].points, full);
                prop_assert!(scores.highest_schools.contains(&scores.schools[0].school));
            }
            let by = turn % candidates.len();
            candidates.rotate_left(by);
            prop_assert_eq!(score(&candidates), scores, "the order of schools says nothing");
        }
    }
}
