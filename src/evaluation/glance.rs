//! A run as its pages show it: every school's points, without reading every minute of the county.
//!
//! What a draft's schools come to is taken from the rollup's sums, which count as [`minutes::count`] does; minutes are read
//! of those schools alone that are looked into: where days are excluded, where the maximum was set, and whichever are
//! asked for. A frozen run's results are a part of their own. So the figures are those of [`load`], at a fraction of its
//! work; a run is frozen and verified from every minute all the same.
//!
//! [`minutes::count`]: super::minutes::count

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::future::{try_join, try_join_all};
use jiff::civil::Date;

use super::{
    EvaluationError, Inputs, Loaded, Results, SchoolMinutes, load,
    load::{Reading, facts, known_evidence, still_kept, stood, without_minutes},
    minutes::{Counted, Excluded, Runs, count, terminal_day},
    parts::{self, Texts},
};
use crate::{
    domain::{
        ids::{SchoolCode, Stage, TerminalId},
        minutes::MinuteSet,
        usage::{Minutes, Period},
    },
    store::{Run, SchoolSum, Store, TerminalFilter},
    tasks::blocking,
};

/// Days of the whole county that are looked at for terminals with a counted minute, before single terminals are.
const DAYS: usize = 6;

/// How many of them at once: these find nearly all.
const DAYS_AT_ONCE: usize = 3;

/// Questions to the store at once.
const AT_ONCE: usize = 4;

/// What the rollup has of schools.
type Sums = HashMap<SchoolCode, SchoolSum>;

/// Schools with their terminals' service, and minutes where these were read.
type Schools = BTreeMap<SchoolCode, SchoolMinutes>;

/// Reads a run and its results; of minutes only what the results look into. The rollup must be up to date
/// ([`crate::query::freshen`]), else a draft's sums are those of a moment ago.
///
/// # Errors
/// As [`load`].
pub async fn glance(store: &dyn Store, run: i64) -> Result<Loaded, EvaluationError> {
    let run = store.run(run).await?;
    if run.frozen().is_some() {
        return frozen(store, run).await;
    }
    if run.minutes_from.is_some() {
        // There is no rollup of another run's minutes.
        return load(store, run.id).await;
    }
    draft(store, run).await
}

async fn frozen(store: &dyn Store, run: Run) -> Result<Loaded, EvaluationError> {
    let mut texts = Texts::new();
    for key in parts::SMALL {
        texts.insert(key.to_owned(), store.run_part(run.id, key).await?);
    }
    blocking(move || {
        Ok(Loaded {
            run,
            inputs: parts::without_minutes(&texts)?,
            results: parts::results(&texts)?,
        })
    })
    .await
}

async fn draft(store: &dyn Store, run: Run) -> Result<Loaded, EvaluationError> {
    let (inputs, sums) = (without_minutes(store, &run), sums(store, &run));
    let (mut inputs, sums) = try_join(inputs, sums).await?;
    let standing = standing(store, &run, &inputs).await?;
    let excluded = inputs.exclusions.iter().map(|one| &one.exclusion.terminal);
    let excluded: BTreeSet<&TerminalId> = excluded.collect();
    let touched = standing.iter().filter(|(_, school)| {
        let mut terminals = school.terminals.keys();
        terminals.any(|id| excluded.contains(id))
    });
    let touched: BTreeSet<SchoolCode> = touched.map(|(code, _)| code.clone()).collect();
    let reading = Reading::new(store, run.period).await?;
    let counting = Counting::of(&inputs, &standing, &sums, &touched);
    let (read, counting) = try_join(
        try_join_all(touched.iter().map(|code| reading.school(code))),
        counting.asked(store, &run),
    )
    .await?;
    inputs.minutes = Arc::new(touched.iter().cloned().zip(read).collect());
    let counted = counted(&inputs, &standing, &sums, &counting);
    still_kept(store, &run, &inputs.calendar.calendar).await?;
    let counted = Arc::new(counted);
    loop {
        let counted = counted.clone();
        let done;
        (inputs, done) = blocking(move || {
            let results = Results::from_counted(&inputs, &counted);
            Ok::<_, EvaluationError>((inputs, results))
        })
        .await?;
        match done {
            Ok(results) => {
                return Ok(Loaded {
                    run,
                    inputs,
                    results,
                });
            }
            Err(EvaluationError::Unread(code)) => {
                let found = reading.school(&code).await?;
                Arc::make_mut(&mut inputs.minutes).insert(code, found);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Where the county's terminals stood within the run's days.
async fn standing(
    store: &dyn Store,
    run: &Run,
    inputs: &Inputs,
) -> Result<Schools, EvaluationError> {
    let codes = inputs.schools.iter().map(|school| school.code.clone());
    let mut found: Schools = codes.map(|code| (code, SchoolMinutes::default())).collect();
    let only = store.counties().await?.len() == 1;
    let filters: Vec<TerminalFilter> = if only {
        vec![TerminalFilter::default()]
    } else {
        let of = |code: &SchoolCode| TerminalFilter {
            school: Some(code.clone()),
            ..TerminalFilter::default()
        };
        found.keys().map(of).collect()
    };
    for filter in &filters {
        for terminal in store.terminals(filter).await? {
            for placement in &terminal.placements {
                let code = &placement.school;
                if let Some(school) = found.get_mut(code)
                    && let Some(stay) = stood(&terminal, code, run.period)
                {
                    school.terminals.insert(terminal.id.clone(), stay);
                }
            }
        }
    }
    Ok(found)
}

/// The rollup's sums of each school.
async fn sums(store: &dyn Store, run: &Run) -> Result<Sums, EvaluationError> {
    let sums = store
        .school_sums(&run.county, run.period)
        .await?
        .into_iter();
    Ok(sums.map(|sum| (sum.school.clone(), sum)).collect())
}

/// What each school's terminals come to, in the order of the schools.
fn counted(
    inputs: &Inputs,
    standing: &Schools,
    sums: &Sums,
    counting: &HashMap<SchoolCode, u64>,
) -> Vec<Counted> {
    let calendar = &inputs.calendar.calendar;
    let (every, none) = (Excluded::new(&inputs.exclusions), Excluded::default());
    let of = |school: &super::SchoolFacts| {
        if let Ok(whole) = inputs.minutes_of(&school.code) {
            return count(calendar, school.stage, whole, &every);
        }
        let due = standing.get(&school.code);
        let due = due.map(|school_terminals| {
            // Without minutes: what is due, and of how many.
            count(calendar, school.stage, school_terminals, &none)
        });
        Counted {
            minutes: sums
                .get(&school.code)
                .map_or(Minutes::default(), |sum| sum.minutes),
            counting: counting.get(&school.code).copied().unwrap_or_default(),
            ..due.unwrap_or_default()
        }
    };
    inputs.schools.iter().map(of).collect()
}

/// Finds the terminals with a counted minute of schools that were not read whole. Nearly all of them have one on a day on
/// which many are used; the others are asked for one by one.
struct Counting<'a> {
    inputs: &'a Inputs,
    standing: &'a Schools,
    stages: HashMap<&'a SchoolCode, Stage>,
    /// Of whom none was found yet; only schools with counted minutes.
    open: BTreeMap<&'a SchoolCode, BTreeSet<&'a TerminalId>>,
    sums: &'a Sums,
    /// The school with the most minutes: its days are likely days of use everywhere.
    busiest: Option<&'a SchoolCode>,
    found: HashMap<SchoolCode, u64>,
}

impl<'a> Counting<'a> {
    /// But for these schools, which are read whole.
    fn of(
        inputs: &'a Inputs,
        standing: &'a Schools,
        sums: &'a Sums,
        read: &BTreeSet<SchoolCode>,
    ) -> Self {
        let minutes = |code: &SchoolCode| sums.get(code).map_or(0, |sum| sum.minutes.counted);
        let unread = standing
            .iter()
            .filter(|(code, _)| minutes(code) > 0 && !read.contains(*code));
        let open: BTreeMap<_, BTreeSet<_>> = unread
            .map(|(code, school)| (code, school.terminals.keys().collect()))
            .collect();
        let schools = inputs.schools.iter();
        Self {
            inputs,
            standing,
            stages: schools.map(|one| (&one.code, one.stage)).collect(),
            busiest: open.keys().copied().max_by_key(|code| minutes(code)),
            sums,
            open,
            found: HashMap::new(),
        }
    }

    /// How many terminals of each school.
    async fn asked(
        mut self,
        store: &dyn Store,
        run: &Run,
    ) -> Result<HashMap<SchoolCode, u64>, EvaluationError> {
        for days in self.days(store, run).await?.chunks(DAYS_AT_ONCE) {
            let before: usize = self.left();
            for one in store.county_days(&run.county, days).await? {
                let mut days = one.days.iter();
                if days.any(|(day, of)| self.counts(&one.school, &one.terminal, *day, of.used)) {
                    self.take(&one.school, &one.terminal);
                }
            }
            if self.left() == 0 || self.left() == before {
                break;
            }
        }
        let left: Vec<(&SchoolCode, &TerminalId)> = self
            .open
            .iter()
            .flat_map(|(school, terminals)| terminals.iter().map(|terminal| (*school, *terminal)))
            .collect();
        for some in left.chunks(AT_ONCE) {
            let asked = some
                .iter()
                .map(|(_, terminal)| store.terminal_days(terminal, run.period));
            let answers = try_join_all(asked).await?;
            for ((school, terminal), days) in some.iter().zip(answers) {
                let mut days = days.into_iter();
                if days.any(|(day, minutes)| self.counts(school, terminal, day, minutes.used)) {
                    self.take(school, terminal);
                }
            }
        }
        Ok(self.found)
    }

    /// Days on which most terminals of the busiest school reported.
    async fn days(&self, store: &dyn Store, run: &Run) -> Result<Vec<Date>, EvaluationError> {
        let Some(school) = self.busiest else {
            return Ok(Vec::new());
        };
        let mut days = store.school_days(school, run.period).await?;
        days.sort_by_key(|(day, minutes)| std::cmp::Reverse((minutes.reporting, *day)));
        Ok(days.into_iter().take(DAYS).map(|(day, _)| day).collect())
    }

    fn left(&self) -> usize {
        self.open.values().map(BTreeSet::len).sum()
    }

    fn counts(
        &self,
        school: &SchoolCode,
        terminal: &TerminalId,
        day: Date,
        used: MinuteSet,
    ) -> bool {
        let Some(stage) = self.stages.get(school) else {
            return false;
        };
        let here = self.standing.get(school);
        let here = here.and_then(|school| school.terminals.get(terminal));
        let calendar = &self.inputs.calendar.calendar;
        here.is_some_and(|one| one.in_service(day))
            && terminal_day(calendar, *stage, day, &Runs(used)).counted > 0
    }

    fn take(&mut self, school: &SchoolCode, terminal: &TerminalId) {
        let open = self.open.get_mut(school);
        if !open.is_some_and(|open| open.remove(terminal)) {
            return;
        }
        let found = self.found.entry(school.clone()).or_default();
        *found += 1;
        // No more can have a counted minute than have any.
        let sum = self.sums.get(school);
        if sum.is_some_and(|sum| *found >= u64::from(sum.reporting_terminals)) {
            self.open.remove(school);
        }
    }
}

/// Reads a draft once more, with the calendar, schools and minutes that were read before: for whoever knows that only
/// evidence and exclusions changed since. A run that was frozen meanwhile is read as it was frozen.
///
/// # Errors
/// As [`load`].
pub async fn load_again(store: &dyn Store, before: &Loaded) -> Result<Loaded, EvaluationError> {
    let run = store.run(before.run.id).await?;
    if run.frozen().is_some() {
        return glance(store, run.id).await;
    }
    let inputs = Inputs {
        facts: facts(store, &run).await?,
        evidence: known_evidence(store, run.id).await?,
        exclusions: store.exclusions(run.id).await?,
        ..before.inputs.clone()
    };
    let (was, is) = (&before.inputs.exclusions, &inputs.exclusions);
    let changed = was.iter().filter(|one| !is.contains(one));
    let changed = changed.chain(is.iter().filter(|one| !was.contains(one)));
    let changed = changed.map(|one| one.exclusion.terminal.clone());
    let changed: BTreeSet<TerminalId> = changed.collect();
    let now = Arc::new(Loaded {
        run,
        inputs,
        results: before.results.clone(),
    });
    let now = with_schools_of(store, now, &changed).await?;
    reading_more(store, now, move |now| {
        Ok(Loaded {
            run: now.run.clone(),
            inputs: now.inputs.clone(),
            results: Results::again(&now.inputs, &now.results, &changed)?,
        })
    })
    .await
}

/// A run with the minutes of these schools too.
///
/// # Errors
/// `Unknown` for a school that is not in the run; `Store`, `Part`.
pub async fn with_minutes(
    store: &dyn Store,
    loaded: &Loaded,
    schools: &BTreeSet<SchoolCode>,
) -> Result<Loaded, EvaluationError> {
    let mut loaded = loaded.clone();
    let known = loaded.inputs.minutes.clone();
    let missing: Vec<_> = schools
        .iter()
        .filter(|code| !known.contains_key(*code))
        .collect();
    if missing.is_empty() {
        return Ok(loaded);
    }
    let run = &loaded.run;
    let reading = Reading::new(store, run.period).await?;
    for code in missing {
        loaded.inputs.school(code)?;
        let found = match run.frozen() {
            Some(_) => part_of(store, run, code, |_| true).await?,
            None => Some(reading.school(code).await?),
        };
        let minutes = Arc::make_mut(&mut loaded.inputs.minutes);
        minutes.extend(found.map(|found| (code.clone(), found)));
    }
    Ok(loaded)
}

/// A run with the minutes of the schools where these terminals stood; of none more where all were read.
///
/// # Errors
/// As [`load`].
pub(super) async fn with_schools_of(
    store: &dyn Store,
    loaded: Arc<Loaded>,
    terminals: &BTreeSet<TerminalId>,
) -> Result<Arc<Loaded>, EvaluationError> {
    let (run, inputs) = (&loaded.run, &loaded.inputs);
    if terminals.is_empty() || inputs.is_whole() {
        return Ok(loaded);
    }
    if run.frozen().is_some() {
        return Ok(Arc::new(with_parts_of(store, &loaded, terminals).await?));
    }
    let mut schools = BTreeSet::new();
    for id in terminals {
        if let Some(terminal) = store.terminal(id).await? {
            let here = inputs.schools.iter().map(|school| &school.code);
            let here = here.filter(|code| stood(&terminal, code, run.period).is_some());
            schools.extend(here.cloned());
        }
    }
    Ok(Arc::new(with_minutes(store, &loaded, &schools).await?))
}

/// A frozen run with the minutes of the schools that these terminals stood in. Only its parts say which these are: first
/// those are looked through that the registry names now; and where a terminal was not in service there over all of the
/// run's days, every other part too.
async fn with_parts_of(
    store: &dyn Store,
    loaded: &Loaded,
    terminals: &BTreeSet<TerminalId>,
) -> Result<Loaded, EvaluationError> {
    let mut named = BTreeSet::new();
    for id in terminals {
        let known = store.terminal(id).await?.into_iter();
        let placements = known.flat_map(|terminal| terminal.placements);
        named.extend(placements.map(|placement| placement.school));
    }
    let schools = loaded.inputs.schools.iter().map(|school| &school.code);
    let (likely, others): (Vec<_>, Vec<_>) = schools.partition(|code| named.contains(code));
    let loaded = naming(store, loaded.clone(), &likely, terminals).await?;
    if terminals.iter().all(|id| served_throughout(&loaded, id)) {
        return Ok(loaded);
    }
    naming(store, loaded, &others, terminals).await
}

/// A frozen run with the minutes of those of these schools whose parts name one of the terminals.
async fn naming(
    store: &dyn Store,
    mut loaded: Loaded,
    schools: &[&SchoolCode],
    terminals: &BTreeSet<TerminalId>,
) -> Result<Loaded, EvaluationError> {
    // As a part has them: an id needs no escaping.
    let keys: Vec<String> = terminals.iter().map(|id| format!("\"{id}\":")).collect();
    let names_one = |text: &str| keys.iter().any(|id| text.contains(id));
    let unread = schools.iter().copied();
    let unread: Vec<_> = unread
        .filter(|code| loaded.inputs.minutes_of(code).is_err())
        .collect();
    for some in unread.chunks(AT_ONCE) {
        let asked = some
            .iter()
            .map(|code| part_of(store, &loaded.run, code, names_one));
        let found = some.iter().zip(try_join_all(asked).await?);
        let found = found.filter_map(|(code, found)| Some(((*code).clone(), found?)));
        Arc::make_mut(&mut loaded.inputs.minutes).extend(found);
    }
    Ok(loaded)
}

/// Whether a terminal was in service on every day of a run in schools whose minutes were read: then it was in no other.
fn served_throughout(loaded: &Loaded, terminal: &TerminalId) -> bool {
    let schools = loaded.inputs.minutes.values();
    let here = schools.filter_map(|school| school.terminals.get(terminal));
    let mut spans: Vec<_> = here.flat_map(|one| one.service.iter().copied()).collect();
    spans.sort_unstable();
    let Period { first, last } = loaded.inputs.facts.period();
    let mut open = Some(first);
    for (from, to) in spans {
        if open.is_some_and(|open| from <= open && open <= to) {
            open = to.tomorrow().ok();
        }
    }
    open.is_none_or(|open| open > last)
}

/// A school's minutes of a frozen run, where the text of their part is wanted.
async fn part_of(
    store: &dyn Store,
    run: &Run,
    school: &SchoolCode,
    wanted: impl Fn(&str) -> bool,
) -> Result<Option<SchoolMinutes>, EvaluationError> {
    let key = parts::minutes_key(school);
    let text = store.run_part(run.id, &key).await?;
    if !wanted(&text) {
        return Ok(None);
    }
    parts::minutes(&Texts::from([(key, text)]), school).map(Some)
}

/// Does some work with a run, and again with the minutes of a school more for as long as it lacks these.
///
/// # Errors
/// The work's, but for `Unread`; as [`with_minutes`].
pub(super) async fn reading_more<T: Send + 'static>(
    store: &dyn Store,
    mut loaded: Arc<Loaded>,
    work: impl Fn(&Loaded) -> Result<T, EvaluationError> + Send + Sync + 'static,
) -> Result<T, EvaluationError> {
    let work = Arc::new(work);
    loop {
        let (with, work) = (loaded.clone(), work.clone());
        match blocking(move || work(&with)).await {
            Err(EvaluationError::Unread(code)) => {
                let more = with_minutes(store, &loaded, &BTreeSet::from([code])).await?;
                loaded = Arc::new(more);
            }
            done => return done,
        }
    }
}
