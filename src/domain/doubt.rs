//! Doubt: what of a terminal's minutes a person should look at before they decide about others.
//!
//! Rules without judgement: each doubt is a Chinese sentence with figures, and alters nothing. Not responsible for
//! excluding anything (a person does, with a reason), nor for where minutes come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{
    calendar::Calendar,
    ids::{Stage, TerminalId},
    minutes::MinuteSet,
};

/// Nobody teaches in these minutes of the day: 0:00 to 5:00.
const NIGHT: (u16, u16) = (0, 300);

/// Minutes of use in one night from which it is worth a look: someone may come early, or late, once.
pub const NIGHT_MINUTES: u32 = 30;

/// Minutes of use on one day from which no person can have been there all the time: 20 hours.
pub const ALL_DAY_MINUTES: u32 = 1_200;

/// Minutes from which a pattern of use is a pattern: short ones are alike by chance.
pub const PATTERN_MINUTES: u32 = 30;

/// Days with the very same pattern on one terminal from which it looks like a machine's doing.
pub const SAME_DAYS: usize = 3;

/// Days on which a terminal has the very same pattern as another one from which it looks like a copy.
pub const SHARED_DAYS: usize = 2;

/// Days filled to the timetable's ceiling from which they are worth a look.
pub const FULL_DAYS: usize = 3;

/// Share of the teaching time, percent, from which it counts as filled.
pub const FULL_PERCENT: u32 = 95;

/// What looks doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtKind {
    /// Use between 0:00 and 5:00.
    Night,
    /// 20 hours of use or more on a day.
    AllDay,
    /// The very same minutes on several days.
    SameDays,
    /// The very same minutes as another terminal's, on several days.
    SharedDays,
    /// Use at the timetable's ceiling on several days.
    Full,
    /// Use above the daily cap, whose rest does not count.
    OverCap,
    /// Two machines under one identity.
    TwoMachines,
}

impl DoubtKind {
    /// Its stable key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Night => "night",
            Self::AllDay => "all_day",
            Self::SameDays => "same_days",
            Self::SharedDays => "shared_days",
            Self::Full => "full",
            Self::OverCap => "over_cap",
            Self::TwoMachines => "two_machines",
        }
    }
}

/// One doubt about one terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Doubt {
    /// Whose minutes.
    pub terminal: TerminalId,
    /// What looks doubtful.
    pub kind: DoubtKind,
    /// On how many days.
    pub days: u64,
    /// The first of them.
    pub first: Date,
    /// The last of them.
    pub last: Date,
    /// With figures, a Chinese sentence.
    pub sentence: String,
}

/// What is known of one terminal.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// Which.
    pub terminal: &'a TerminalId,
    /// Minutes of use of the days that count, in order.
    pub days: Vec<(Date, MinuteSet)>,
    /// Days on which two machines were found under its identity.
    pub two_machines: &'a BTreeSet<Date>,
}

/// Looks at the terminals of one school; by terminal and kind.
#[must_use]
pub fn doubts(calendar: &Calendar, stage: Stage, terminals: &[Observed<'_>]) -> Vec<Doubt> {
    let mut found = Vec::new();
    for one in terminals {
        let terminal = Terminal {
            id: one.terminal,
            calendar,
            stage,
            days: &one.days,
        };
        let alone = [
            terminal.night(),
            terminal.all_day(),
            terminal.same_days(),
            terminal.full(),
            terminal.over_cap(),
            terminal.two_machines(one.two_machines),
        ];
        found.extend(alone.into_iter().flatten());
    }
    found.extend(shared(terminals));
    found.sort();
    found
}

struct Terminal<'a> {
    id: &'a TerminalId,
    calendar: &'a Calendar,
    stage: Stage,
    days: &'a [(Date, MinuteSet)],
}

/// A day and how many minutes of it are meant.
type Day = (Date, u32);

fn most(days: &[Day]) -> Day {
    // The earliest of equal ones.
    let most = days.iter().rev().max_by_key(|(_, minutes)| *minutes);
    most.copied().unwrap_or((Date::MIN, 0))
}

fn doubt(
    id: &TerminalId,
    kind: DoubtKind,
    days: &[Date],
    sentence: impl FnOnce() -> String,
) -> Option<Doubt> {
    Some(Doubt {
        terminal: id.clone(),
        kind,
        days: days.len() as u64,
        first: *days.first()?,
        last: *days.last()?,
        sentence: sentence(),
    })
}

impl Terminal<'_> {
    fn days_with(&self, minutes: impl Fn(Date, &MinuteSet) -> Option<u32>) -> Vec<Day> {
        let days = self.days.iter();
        days.filter_map(|(day, used)| Some((*day, minutes(*day, used)?)))
            .collect()
    }

    fn of(
        &self,
        kind: DoubtKind,
        days: &[Day],
        sentence: impl FnOnce() -> String,
    ) -> Option<Doubt> {
        let dates: Vec<Date> = days.iter().map(|(day, _)| *day).collect();
        doubt(self.id, kind, &dates, sentence)
    }

    fn night(&self) -> Option<Doubt> {
        let night = MinuteSet::of(NIGHT.0, NIGHT.1);
        let days = self.days_with(|_, used| {
            let minutes = (*used & night).count();
            (minutes >= NIGHT_MINUTES).then_some(minutes)
        });
        let (day, minutes) = most(&days);
        self.of(DoubtKind::Night, &days, || {
            format!(
                "终端 {} 有 {} 天在 0:00 至 5:00 使用,最多的一天是 {day},{minutes} 分钟。",
                self.id,
                days.len()
            )
        })
    }

    fn all_day(&self) -> Option<Doubt> {
        let days = self.days_with(|_, used| {
            let minutes = used.count();
            (minutes >= ALL_DAY_MINUTES).then_some(minutes)
        });
        let (day, minutes) = most(&days);
        self.of(DoubtKind::AllDay, &days, || {
            format!(
                "终端 {} 有 {} 天使用满 {} 小时,最多的一天是 {day},{} 小时 {} 分钟。",
                self.id,
                days.len(),
                ALL_DAY_MINUTES / 60,
                minutes / 60,
                minutes % 60
            )
        })
    }

    /// The pattern that most days share.
    fn same_days(&self) -> Option<Doubt> {
        let mut patterns: HashMap<&MinuteSet, Vec<Date>> = HashMap::new();
        for (day, used) in self.days {
            if used.count() >= PATTERN_MINUTES {
                patterns.entry(used).or_default().push(*day);
            }
        }
        let same = patterns
            .into_iter()
            .filter(|(_, days)| days.len() >= SAME_DAYS);
        let (used, days) = same.max_by_key(|(_, days)| (days.len(), std::cmp::Reverse(days[0])))?;
        doubt(self.id, DoubtKind::SameDays, &days, || {
            format!(
                "终端 {} 有 {} 天的使用分钟完全相同,每天 {} 分钟({}),从 {} 到 {}。",
                self.id,
                days.len(),
                used.count(),
                shown(used),
                days[0],
                days[days.len() - 1]
            )
        })
    }

    fn full(&self) -> Option<Doubt> {
        let ceiling = |day| {
            let teaching = self.calendar.teaching(self.stage, day)?;
            Some((teaching.mask, teaching.mask.count()))
        };
        let days = self.days_with(|day, used| {
            let (mask, all) = ceiling(day)?;
            let minutes = (*used & mask).count();
            (minutes * 100 >= all * FULL_PERCENT).then_some(minutes)
        });
        if days.len() < FULL_DAYS {
            return None;
        }
        let (day, minutes) = most(&days);
        let all = ceiling(day).map_or(0, |(_, all)| all);
        self.of(DoubtKind::Full, &days, || {
            format!(
                "终端 {} 有 {} 天几乎占满课表的全部教学时间,如 {day},教学 {all} 分钟中使用了 {minutes} 分钟。",
                self.id,
                days.len()
            )
        })
    }

    fn over_cap(&self) -> Option<Doubt> {
        let cap = self.calendar.daily_cap()?;
        let days = self.days_with(|day, used| {
            let teaching = self.calendar.teaching(self.stage, day)?;
            let minutes = (*used & teaching.mask).count();
            (minutes > cap).then_some(minutes)
        });
        let (day, minutes) = most(&days);
        self.of(DoubtKind::OverCap, &days, || {
            format!(
                "终端 {} 有 {} 天超过每台每日上限 {cap} 分钟,最多的一天是 {day},{minutes} 分钟,超出部分不计。",
                self.id,
                days.len()
            )
        })
    }

    fn two_machines(&self, found: &BTreeSet<Date>) -> Option<Doubt> {
        let days: Vec<Date> = found.iter().copied().collect();
        doubt(self.id, DoubtKind::TwoMachines, &days, || {
            format!(
                "终端 {} 有 {} 天发现两台机器用同一个编号上报,可能复制了系统盘,如 {}。",
                self.id,
                days.len(),
                days[0]
            )
        })
    }
}

/// The first runs of a pattern.
fn shown(used: &MinuteSet) -> String {
    let runs = used.runs();
    let first: Vec<_> = runs.iter().take(2).map(ToString::to_string).collect();
    let rest = if runs.len() > 2 {
        format!(" 等 {} 段", runs.len())
    } else {
        String::new()
    };
    format!("{}{rest}", first.join("、"))
}

/// Terminals that have the very same minutes on the same days.
fn shared(terminals: &[Observed<'_>]) -> Vec<Doubt> {
    let mut groups: HashMap<(Date, &MinuteSet), Vec<&TerminalId>> = HashMap::new();
    for one in terminals {
        for (day, used) in &one.days {
            if used.count() >= PATTERN_MINUTES {
                groups.entry((*day, used)).or_default().push(one.terminal);
            }
        }
    }
    // Terminal → day → another one that was alike.
    let mut alike: BTreeMap<&TerminalId, BTreeMap<Date, &TerminalId>> = BTreeMap::new();
    for ((day, _), mut group) in groups {
        if group.len() < 2 {
            continue;
        }
        group.sort_unstable();
        for (at, one) in group.iter().enumerate() {
            let other = group[usize::from(at == 0)];
            alike.entry(one).or_default().insert(day, other);
        }
    }
    let found = alike.into_iter().filter_map(|(one, others)| {
        let days: Vec<Date> = others.keys().copied().collect();
        let (day, other) = others
            .first_key_value()
            .filter(|_| days.len() >= SHARED_DAYS)?;
        doubt(one, DoubtKind::SharedDays, &days, || {
            format!(
                "终端 {one} 有 {} 天与别的终端使用分钟完全相同,如 {day} 与终端 {other}。",
                days.len()
            )
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan as _, civil::date};
    use proptest::prelude::*;

    use super::*;

    const MONDAY: Date = date(2026, 9, 7);

    fn calendar(cap: &str) -> Calendar {
        Calendar::parse(&format!(
            r#"
            name = "试验"
            {cap}
            [[term]]
            name = "第一学期"
            first = "2026-09-01"
            last = "2027-01-15"
            [[timetable]]
            hours = ["08:00-11:20"]
            "#
        ))
        .unwrap()
    }

    fn id(name: &str) -> TerminalId {
        name.parse().unwrap()
    }

    /// Use on the days from Monday on.
    fn days(sets: &[MinuteSet]) -> Vec<(Date, MinuteSet)> {
        let numbered = (0..).zip(sets);
        numbered
            .map(|(number, set)| (MONDAY + i64::from(number).days(), *set))
            .collect()
    }

    fn kinds(
        cap: &str,
        terminals: &[(&str, Vec<(Date, MinuteSet)>)],
    ) -> Vec<(String, DoubtKind, u64)> {
        let none = BTreeSet::new();
        let ids: Vec<TerminalId> = terminals.iter().map(|(name, _)| id(name)).collect();
        let observed: Vec<Observed<'_>> = ids
            .iter()
            .zip(terminals)
            .map(|(terminal, (_, days))| Observed {
                terminal,
                days: days.clone(),
                two_machines: &none,
            })
            .collect();
        let found = doubts(&calendar(cap), Stage::Primary, &observed);
        found
            .into_iter()
            .map(|one| (one.terminal.to_string(), one.kind, one.days))
            .collect()
    }

    #[test]
    fn each_rule_has_a_bound() {
        let one = |set: MinuteSet| days(&[set]);
        let cap = "[policy]\ndaily_cap_minutes = 100";
        for (cap, days, expected) in [
            ("", one(MinuteSet::of(0, 29)), None),
            ("", one(MinuteSet::of(0, 30)), Some((DoubtKind::Night, 1))),
            ("", one(MinuteSet::of(300, 400)), None),
            ("", one(MinuteSet::of(300, 1_439)), None),
            (
                "",
                one(MinuteSet::of(240, 1_440)),
                Some((DoubtKind::AllDay, 1)),
            ),
            ("", days(&[MinuteSet::of(500, 529); 4]), None),
            ("", days(&[MinuteSet::of(500, 530); 2]), None),
            (
                "",
                days(&[MinuteSet::of(500, 530); 3]),
                Some((DoubtKind::SameDays, 3)),
            ),
            (cap, one(MinuteSet::of(480, 580)), None),
            (
                cap,
                one(MinuteSet::of(480, 581)),
                Some((DoubtKind::OverCap, 1)),
            ),
        ] {
            let found = kinds(cap, &[("t", days)]);
            let found: Vec<_> = found
                .into_iter()
                .map(|(_, kind, days)| (kind, days))
                .collect();
            match expected {
                None => assert_eq!(found, []),
                Some(expected) => assert!(found.contains(&expected), "{found:?}: {expected:?}"),
            }
        }
    }

    #[test]
    fn full_days_are_those_of_the_timetable() {
        // 190 of 200 minutes, differently on each day.
        let sets = [
            MinuteSet::of(480, 670),
            MinuteSet::of(481, 671),
            MinuteSet::of(482, 672),
        ];
        assert_eq!(kinds("", &[("t", days(&sets[..2]))]), []);
        let found = kinds("", &[("t", days(&sets))]);
        assert_eq!(found, [("t".to_owned(), DoubtKind::Full, 3)]);
        // On the weekend nothing is full.
        let weekend: Vec<_> = days(&sets)
            .into_iter()
            .map(|(day, set)| (day + 5.days(), set))
            .collect();
        assert_eq!(kinds("", &[("t", weekend)]), []);
    }

    #[test]
    fn copies_are_alike_on_several_days() {
        let sets = [MinuteSet::of(480, 520), MinuteSet::of(500, 560)];
        let other = [MinuteSet::of(480, 520), MinuteSet::of(501, 560)];
        let once = kinds("", &[("a", days(&sets)), ("b", days(&other))]);
        assert_eq!(once, []);
        let twice = kinds(
            "",
            &[("a", days(&sets)), ("b", days(&sets)), ("c", days(&other))],
        );
        assert_eq!(
            twice,
            [
                ("a".to_owned(), DoubtKind::SharedDays, 2),
                ("b".to_owned(), DoubtKind::SharedDays, 2)
            ]
        );
    }

    #[test]
    fn two_machines_are_told_with_their_days() {
        let found: BTreeSet<Date> = [MONDAY, MONDAY + 3.days()].into();
        let observed = Observed {
            terminal: &id("t-7"),
            days: Vec::new(),
            two_machines: &found,
        };
        let told = doubts(&calendar(""), Stage::Primary, &[observed]);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].kind, told[0].days, told[0].first, told[0].last),
            (DoubtKind::TwoMachines, 2, MONDAY, MONDAY + 3.days())
        );
        assert_eq!(
            told[0].sentence,
            "终端 t-7 有 2 天发现两台机器用同一个编号上报,可能复制了系统盘,如 2026-09-07。"
        );
    }

    #[test]
    fn a_sentence_has_its_figures() {
        let night = days(&[
            MinuteSet::of(0, 40),
            MinuteSet::of(0, 90),
            MinuteSet::of(10, 100),
        ]);
        let none = BTreeSet::new();
        let observed = Observed {
            terminal: &id("t-1"),
            days: night,
            two_machines: &none,
        };
        let told = doubts(&calendar(""), Stage::Primary, &[observed]);
        assert_eq!(
            told[0].sentence,
            "终端 t-1 有 3 天在 0:00 至 5:00 使用,最多的一天是 2026-09-08,90 分钟。"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_terminals_says_nothing(
            starts in prop::collection::vec((0..1_300_u16, 20..140_u16), 4..24),
            turn in 0..4_usize,
        ) {
            let mut terminals: Vec<(&str, Vec<(Date, MinuteSet)>)> = Vec::new();
            for (name, starts) in ["a", "b", "c", "d"].iter().zip(starts.chunks(starts.len() / 4)) {
                // Few different sets, so that some are alike.
                let sets: Vec<_> = starts
                    .iter()
                    .map(|(start, length)| MinuteSet::of(start / 400 * 400, start / 400 * 400 + length / 60 * 60))
                    .collect();
                terminals.push((name, days(&sets)));
            }
            let before = kinds("", &terminals);
            terminals.rotate_left(turn);
            prop_assert_eq!(kinds("", &terminals), before);
        }
    }
}
