//! A run's inputs: a draft's from the store as it is now, a frozen run's from its parts and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{Span, civil::Date};

use super::{
    CalendarText, CountyName, EvaluationError, Inputs, Results, RubricText, RunFacts, SchoolFacts,
    SchoolMinutes, TerminalMinutes,
    minutes::Runs,
    parts::{self, Texts},
};
use crate::{
    domain::{
        calendar::Calendar,
        ids::{CountyCode, SchoolCode, Stage, TerminalId},
        incident::Kind,
        rubric::{ItemEvidence, SchoolEvidence},
        usage::Period,
    },
    store::{
        IncidentFilter, Run, School, Store, StoreError, StoredCalendar, Terminal, TerminalFilter,
    },
    tasks::blocking,
};

/// China has one time zone, eight hours before UTC; for the day of an incident, which no figure depends on.
const ZONE_SECONDS: i64 = 8 * 3_600;

/// A run with all that it is.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The run.
    pub run: Run,
    /// What its points follow from.
    pub inputs: Inputs,
    /// A frozen run's as they were frozen, a draft's as they would be.
    pub results: Results,
}

/// Reads a run and its results.
///
/// # Errors
/// As [`inputs_of`].
pub async fn load(store: &dyn Store, run: i64) -> Result<Loaded, EvaluationError> {
    let run = store.run(run).await?;
    if run.frozen().is_none() {
        let inputs = draft(store, &run).await?;
        return blocking(move || {
            let results = Results::of(&inputs)?;
            Ok(Loaded {
                run,
                inputs,
                results,
            })
        })
        .await;
    }
    let texts = texts(store, &run).await?;
    blocking(move || {
        Ok(Loaded {
            run,
            inputs: parts::inputs(&texts)?,
            results: parts::results(&texts)?,
        })
    })
    .await
}

/// Reads what a run's points follow from.
///
/// # Errors
/// `Store` for an unknown run. For a draft: `NoCalendar`, `NoRubric`, `Rubric`, `Evidence`, and `MinutesGone` or
/// `MinutesFrom` where minutes of the period are not to be had. For a frozen run: `Part`, where a part is damaged.
pub async fn inputs_of(store: &dyn Store, run: i64) -> Result<(Run, Inputs), EvaluationError> {
    let run = store.run(run).await?;
    let inputs = if run.frozen().is_some() {
        let texts = texts(store, &run).await?;
        blocking(move || parts::inputs(&texts)).await?
    } else {
        draft(store, &run).await?
    };
    Ok((run, inputs))
}

/// All parts of a frozen run, as they are.
pub(super) async fn texts(store: &dyn Store, run: &Run) -> Result<Texts, EvaluationError> {
    let mut texts = Texts::new();
    for part in store.run_parts(run.id).await? {
        let text = store.run_part(run.id, &part.key).await?;
        texts.insert(part.key, text);
    }
    Ok(texts)
}

/// A draft's inputs as the store has them now.
pub(super) async fn draft(store: &dyn Store, run: &Run) -> Result<Inputs, EvaluationError> {
    let inputs = without_minutes(store, run).await?;
    let (schools, minutes) = if let Some(from) = run.minutes_from {
        frozen_minutes(store, run, from, inputs.schools).await?
    } else {
        let minutes = kept_minutes(store, run, &inputs).await?;
        (inputs.schools, minutes)
    };
    Ok(Inputs {
        schools,
        minutes: Arc::new(minutes),
        ..inputs
    })
}

/// A draft's inputs as the store has them now, without any school's minutes.
pub(super) async fn without_minutes(
    store: &dyn Store,
    run: &Run,
) -> Result<Inputs, EvaluationError> {
    let rubric = store.rubric(run.rubric).await?;
    let rubric = rubric.ok_or(EvaluationError::NoRubric(run.rubric))?;
    let calendar = store.calendar(&run.county).await?;
    let calendar = calendar.ok_or_else(|| EvaluationError::NoCalendar(run.county.clone()))?;
    let registered = store.schools(&run.county).await?;
    Ok(Inputs {
        facts: facts(store, run).await?,
        rubric: RubricText::parse(rubric.text)?,
        calendar: calendar_text(&calendar),
        schools: registered.into_iter().map(school_facts).collect(),
        evidence: known_evidence(store, run.id).await?,
        exclusions: store.exclusions(run.id).await?,
        minutes: Arc::default(),
    })
}

fn calendar_text(stored: &StoredCalendar) -> CalendarText {
    CalendarText {
        version: stored.version,
        text: stored.text.clone(),
        calendar: Calendar::clone(&stored.calendar),
    }
}

pub(super) async fn facts(store: &dyn Store, run: &Run) -> Result<RunFacts, EvaluationError> {
    let freeze = run.frozen();
    Ok(RunFacts {
        key: run.key.clone(),
        county: county(store, &run.county).await?,
        name: run.name.clone(),
        first: run.period.first,
        last: run.period.last,
        supersedes: key(store, run.supersedes).await?,
        minutes_from: key(store, run.minutes_from).await?,
        created_by: run.by.clone(),
        created_at: run.at,
        frozen_by: freeze.map(|freeze| freeze.by.clone()),
        frozen_at: freeze.map(|freeze| freeze.at),
        note: freeze.map(|freeze| freeze.note.clone()),
    })
}

async fn county(store: &dyn Store, code: &CountyCode) -> Result<CountyName, EvaluationError> {
    let counties = store.counties().await?;
    let found = counties.into_iter().find(|county| county.code == *code);
    let found = found.ok_or_else(|| StoreError::NotFound {
        what: "county",
        id: code.to_string(),
    })?;
    Ok(CountyName {
        code: found.code,
        name: found.name,
    })
}

/// Numbers differ from store to store, keys don't.
async fn key(store: &dyn Store, run: Option<i64>) -> Result<Option<String>, EvaluationError> {
    match run {
        Some(run) => Ok(Some(store.run(run).await?.key)),
        None => Ok(None),
    }
}

/// What is known of schools in a draft.
pub(super) async fn known_evidence(
    store: &dyn Store,
    run: i64,
) -> Result<BTreeMap<SchoolCode, SchoolEvidence>, EvaluationError> {
    let mut found: BTreeMap<SchoolCode, SchoolEvidence> = BTreeMap::new();
    for one in store.evidence(run, None).await? {
        let read: Result<ItemEvidence, _> = serde_json::from_str(&one.content);
        let evidence = read.map_err(|error| EvaluationError::Evidence {
            school: one.school.clone(),
            item: one.item.clone(),
            problem: error.to_string(),
        })?;
        let of_school = found.entry(one.school).or_default();
        of_school.insert(one.item, evidence);
    }
    Ok(found)
}

fn school_facts(school: School) -> SchoolFacts {
    SchoolFacts {
        code: school.code,
        name: school.name,
        stage: school.stage,
        township: school.township,
    }
}

type SchoolsAndMinutes = (Vec<SchoolFacts>, BTreeMap<SchoolCode, SchoolMinutes>);

/// The minutes of another run's parts, for its schools, named as the registry has them now.
async fn frozen_minutes(
    store: &dyn Store,
    run: &Run,
    from: i64,
    registered: Vec<SchoolFacts>,
) -> Result<SchoolsAndMinutes, EvaluationError> {
    let source = store.run(from).await?;
    let covers = source.period.first <= run.period.first && run.period.last <= source.period.last;
    if !covers {
        return Err(EvaluationError::MinutesFrom {
            run: from,
            first: source.period.first,
            last: source.period.last,
        });
    }
    let texts = texts(store, &source).await?;
    let schools = with_former(registered, parts::schools(&texts)?);
    let mut minutes = BTreeMap::new();
    for school in &schools {
        // A school that came since has no minutes there, and nothing is due of it.
        let whole = if texts.contains_key(&parts::minutes_key(&school.code)) {
            parts::minutes(&texts, &school.code)?
        } else {
            SchoolMinutes::default()
        };
        let terminals = whole.terminals.into_iter();
        let within = terminals.filter_map(|(id, one)| Some((id, one.within(run.period)?)));
        let terminals = within.collect();
        minutes.insert(school.code.clone(), SchoolMinutes { terminals });
    }
    Ok((schools, minutes))
}

/// The county's schools of today, and those that were there when the minutes were frozen: one that has left still has
/// its minutes, and may have set the maximum. Evidence is only asked of today's.
fn with_former(registered: Vec<SchoolFacts>, former: Vec<SchoolFacts>) -> Vec<SchoolFacts> {
    let gone = former.into_iter();
    let gone = gone.filter(|school| registered.iter().all(|known| known.code != school.code));
    let gone: Vec<SchoolFacts> = gone.collect();
    let mut schools = registered;
    schools.extend(gone);
    schools.sort_by(|a, b| a.code.cmp(&b.code));
    schools
}

/// The minutes that the store has.
async fn kept_minutes(
    store: &dyn Store,
    run: &Run,
    inputs: &Inputs,
) -> Result<BTreeMap<SchoolCode, SchoolMinutes>, EvaluationError> {
    let reading = Reading::new(store, run.period).await?;
    let mut minutes = BTreeMap::new();
    for school in &inputs.schools {
        minutes.insert(school.code.clone(), reading.school(&school.code).await?);
    }
    still_kept(store, run, &inputs.calendar.calendar).await?;
    Ok(minutes)
}

/// Refuses a run whose minutes the store has let go. Asked last: what was kept until now has been read.
pub(super) async fn still_kept(
    store: &dyn Store,
    run: &Run,
    calendar: &Calendar,
) -> Result<(), EvaluationError> {
    if let Some(kept_from) = store.kept_from().await?
        && taught_before(calendar, run.period.first, kept_from)
    {
        return Err(EvaluationError::MinutesGone {
            first: run.period.first,
            kept_from,
            frozen: having(store, run).await?,
        });
    }
    Ok(())
}

/// Whether anybody teaches from `first` to the day before `kept_from`.
fn taught_before(calendar: &Calendar, first: Date, kept_from: Date) -> bool {
    let last = kept_from.saturating_sub(Span::new().days(1));
    Stage::ALL
        .into_iter()
        .any(|stage| calendar.teaching_days(stage, first, last).next().is_some())
}

/// Frozen runs with the minutes of a run's whole period, newest first.
async fn having(store: &dyn Store, run: &Run) -> Result<Vec<i64>, EvaluationError> {
    let runs = store.runs(&run.county).await?;
    let has = |one: &&Run| {
        one.frozen().is_some()
            && one.period.first <= run.period.first
            && run.period.last <= one.period.last
    };
    Ok(runs.iter().filter(has).map(|one| one.id).collect())
}

/// Where a terminal stood in a school within a period, without its minutes; `None` where it did not.
pub(super) fn stood(
    terminal: &Terminal,
    school: &SchoolCode,
    period: Period,
) -> Option<TerminalMinutes> {
    let mut found: Option<TerminalMinutes> = None;
    for placement in &terminal.placements {
        let stay = period.overlap(Period {
            first: placement.from,
            last: placement.to.unwrap_or(Date::MAX),
        });
        if placement.school == *school && stay.first <= stay.last {
            let here = found.get_or_insert_default();
            here.room.clone_from(&placement.room);
            here.service.push((stay.first, stay.last));
        }
    }
    found
}

/// Reads the minutes that the store has, school by school.
pub(super) struct Reading<'s> {
    store: &'s dyn Store,
    period: Period,
    two_machines: BTreeMap<TerminalId, BTreeSet<Date>>,
}

impl<'s> Reading<'s> {
    pub(super) async fn new(store: &'s dyn Store, period: Period) -> Result<Self, EvaluationError> {
        Ok(Self {
            store,
            period,
            two_machines: two_machines(store, period).await?,
        })
    }

    /// One school's minutes.
    pub(super) async fn school(
        &self,
        school: &SchoolCode,
    ) -> Result<SchoolMinutes, EvaluationError> {
        let filter = TerminalFilter {
            school: Some(school.clone()),
            ..TerminalFilter::default()
        };
        let all = self.store.terminals(&filter).await?;
        let here = all.iter();
        let here = here.filter_map(|one| Some((one.id.clone(), stood(one, school, self.period)?)));
        let mut terminals: BTreeMap<TerminalId, TerminalMinutes> = here.collect();
        for (id, day, minutes) in self.store.school_terminal_days(school, self.period).await? {
            // Who was moved between the two questions is asked again by the next reader, and a freeze is of what was read.
            if let Some(terminal) = terminals.get_mut(&id)
                && terminal.in_service(day)
                && !minutes.used.is_empty()
            {
                terminal.used.insert(day, Runs(minutes.used));
            }
        }
        for (id, terminal) in &mut terminals {
            let told = self.two_machines.get(id).into_iter().flatten().copied();
            let here = told.filter(|day| terminal.in_service(*day));
            terminal.two_machines = here.collect();
        }
        Ok(SchoolMinutes { terminals })
    }
}

/// Days on which two machines were found under a terminal's identity.
async fn two_machines(
    store: &dyn Store,
    period: Period,
) -> Result<BTreeMap<TerminalId, BTreeSet<Date>>, EvaluationError> {
    // The service found them itself, so that each was received when it was.
    let midnight = |day: Date| {
        let days = i64::from((day - jiff::civil::date(1970, 1, 1)).get_days());
        days * 86_400 - ZONE_SECONDS
    };
    let filter = IncidentFilter {
        kind: Some(Kind::TwoMachines),
        since: midnight(period.first),
        until: Some(midnight(period.last) + 86_400),
        limit: u32::MAX,
        ..IncidentFilter::default()
    };
    let mut found: BTreeMap<TerminalId, BTreeSet<Date>> = BTreeMap::new();
    for incident in store.incidents(&filter).await? {
        if let Some(day) = local_day(incident.at).filter(|day| period.contains(*day)) {
            found.entry(incident.terminal).or_default().insert(day);
        }
    }
    Ok(found)
}

fn local_day(at: i64) -> Option<Date> {
    let days = (at + ZONE_SECONDS).div_euclid(86_400);
    let span = Span::new().try_days(days).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(span).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::local_day;

    #[test]
    fn the_day_turns_at_midnight_in_china() {
        assert_eq!(local_day(1_788_191_999), Some(date(2026, 8, 31)));
        assert_eq!(local_day(1_788_192_000), Some(date(2026, 9, 1)));
        assert_eq!(local_day(i64::MAX / 2), None);
    }
}
