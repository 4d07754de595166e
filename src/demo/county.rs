//! The demo's county: invented schools, terminals and a calendar around today.
//!
//! Not responsible for what its terminals do (`behaviour`).

use jiff::{
    Span,
    civil::{Date, Weekday},
};

use crate::{
    domain::ids::{InvalidId, Stage, TerminalId},
    store::{County, Placement, RegistryChange, School},
};

/// How large a county to play.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Schools, 1 to 12.
    pub schools: usize,
    /// Terminals of the largest school; the others have somewhat fewer.
    pub terminals: usize,
    /// Weeks of the term that lie behind.
    pub weeks: i64,
}

/// What the demo plays by default: 12 schools, some 240 terminals, twelve weeks.
pub const FULL: Size = Size {
    schools: 12,
    terminals: 26,
    weeks: 12,
};

/// A terminal's part in the play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Lessons, idle gaps, now and then a club.
    Usual,
    /// Never switched on.
    Silent,
    /// Its power is cut in the middle of lessons.
    PowerCut,
    /// Its clock battery died three weeks ago: since then every boot begins in the year 2000.
    DeadClock,
    /// Stays on and "in use" all night.
    Cheater,
}

/// One terminal of the play.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Its id.
    pub id: TerminalId,
    /// Index of its school.
    pub school: usize,
    /// Its part.
    pub role: Role,
    /// How many of a thousand lessons it is used in.
    pub diligence: u32,
}

/// The whole cast.
#[derive(Debug, Clone)]
pub struct Cast {
    /// What to register.
    pub registry: RegistryChange,
    /// The calendar's text.
    pub calendar: String,
    /// First day of the term.
    pub first: Date,
    /// The terminals.
    pub actors: Vec<Actor>,
}

const SCHOOLS: [(&str, Stage, &str, u32); 12] = [
    ("晨光小学", Stage::Primary, "奇克镇", 820),
    ("江畔小学", Stage::Primary, "奇克镇", 700),
    ("边城初中", Stage::Junior, "奇克镇", 760),
    ("逊河九年一贯制学校", Stage::NineYear, "逊河镇", 640),
    ("松林中心校", Stage::Primary, "松树沟乡", 540),
    ("干岔子中心校", Stage::Primary, "干岔子乡", 480),
    ("宝山中心校", Stage::Primary, "宝山乡", 430),
    ("车陆中心校", Stage::Primary, "车陆乡", 390),
    ("新兴民族学校", Stage::NineYear, "新兴乡", 560),
    ("克林教学点", Stage::TeachingPoint, "克林乡", 300),
    ("高滩学校(全部静默)", Stage::Primary, "边疆镇", 0),
    ("县第一高级中学", Stage::Senior, "奇克镇", 610),
];

/// The school whose terminals are all silent.
const SILENT_SCHOOL: usize = 10;

impl Cast {
    /// Casts a county around today. The same size and day give the same county.
    ///
    /// # Errors
    /// None in practice: every id is made of constants.
    pub fn new(size: Size, today: Date) -> Result<Self, InvalidId> {
        let first = monday(today).saturating_sub(Span::new().weeks(size.weeks));
        let county: crate::domain::ids::CountyCode = "231123".parse()?;
        let mut registry = RegistryChange {
            counties: vec![County {
                code: county.clone(),
                name: "逊克县(演示)".to_owned(),
            }],
            ..RegistryChange::default()
        };
        let mut actors = Vec::new();
        for (index, (name, stage, township, diligence)) in
            SCHOOLS.iter().take(size.schools).enumerate()
        {
            let code: crate::domain::ids::SchoolCode = format!("21239{:05}", index + 1).parse()?;
            let count =
                (size.terminals - (index * size.terminals / 30).min(size.terminals - 1)).max(1);
            for number in 1..=count {
                let id: TerminalId = format!("demo-{:02}-{number:02}", index + 1).parse()?;
                let room = format!("{}-{}班", (number - 1) / 4 + 1, (number - 1) % 4 + 1);
                let placement = Placement {
                    school: code.clone(),
                    room,
                    from: first,
                    to: None,
                };
                registry.placements.push((id.clone(), vec![placement]));
                actors.push(Actor {
                    id,
                    school: index,
                    role: role(index, number),
                    diligence: *diligence,
                });
            }
            registry.schools.push(School {
                code,
                name: (*name).to_owned(),
                stage: *stage,
                township: (*township).to_owned(),
                county: county.clone(),
            });
        }
        Ok(Self {
            registry,
            calendar: calendar(first, today),
            first,
            actors,
        })
    }
}

fn role(school: usize, number: usize) -> Role {
    match (school, number) {
        (SILENT_SCHOOL, _) | (3, 4) => Role::Silent,
        (0, 2) => Role::PowerCut,
        (1, 3) => Role::DeadClock,
        (2, 1) => Role::Cheater,
        _ => Role::Usual,
    }
}

fn monday(day: Date) -> Date {
    day.saturating_sub(Span::new().days(day.weekday().to_monday_zero_offset()))
}

/// Twelve weeks behind, four ahead; a holiday from Wednesday to Friday of the fifth week, made up on its Saturday.
fn calendar(first: Date, today: Date) -> String {
    let day = |weeks: i64, days: i64| first.saturating_add(Span::new().weeks(weeks).days(days));
    let last = today.saturating_add(Span::new().weeks(4));
    debug_assert_eq!(first.weekday(), Weekday::Monday);
    format!(
        r#"name = "演示教学日历"
[policy]
lesson_minutes = 15
[[term]]
name = "演示学期"
first = "{first}"
last = "{last}"
[[holiday]]
name = "演示假日"
first = "{}"
last = "{}"
[[makeup]]
date = "{}"
follows = "friday"
[[timetable]]
lessons = ["08:00-08:40", "08:50-09:30", "09:50-10:30", "10:40-11:20", "13:30-14:10", "14:20-15:00"]
[[timetable]]
stages = ["初中", "高中", "九年一贯制"]
lessons = ["08:00-08:45", "08:55-09:40", "10:00-10:45", "10:55-11:40", "13:30-14:15", "14:25-15:10", "15:20-16:05"]
"#,
        day(4, 2),
        day(4, 4),
        day(4, 5),
    )
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::calendar::Calendar;

    #[test]
    fn the_county_is_whole() {
        let cast = Cast::new(FULL, date(2026, 11, 25)).unwrap();
        assert_eq!(cast.registry.schools.len(), 12);
        assert!(
            (230..=270).contains(&cast.actors.len()),
            "{}",
            cast.actors.len()
        );
        let calendar = Calendar::parse(&cast.calendar).unwrap();
        assert_eq!(calendar.terms()[0].first.weekday(), Weekday::Monday);
        let days = calendar
            .teaching_days(Stage::Primary, cast.first, date(2026, 11, 20))
            .count();
        assert_eq!(days, 12 * 5 - 3 + 1);
        for role in [Role::Silent, Role::PowerCut, Role::DeadClock, Role::Cheater] {
            assert!(
                cast.actors.iter().any(|actor| actor.role == role),
                "{role:?}"
            );
        }
    }
}
