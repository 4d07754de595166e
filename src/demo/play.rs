//! The demo's terminals: the real agent core through a term in virtual time, then the real agent's driver, live.
//!
//! Not responsible for what a terminal does on a day (`behaviour`) or for showing it (`show`).

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use classpulse_agent::{
    access::Access,
    clock::Clock as AgentClock,
    core::{BootId, Core, CoreConfig, JournalState, Now, Observation},
    journal::MemoryJournal,
    link::Login,
    local::StatusBoard,
    publish::{self, Options, SaveNow},
    sense::Sense,
};
use classpulse_proto::v1::AgentFacts;
use jiff::{Span, civil::Date, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use super::{
    DemoError,
    behaviour::{self, Boot, Use},
    county::{Actor, Cast, Role},
};
use crate::{
    clock::SharedClock,
    domain::{
        calendar::Calendar,
        ids::{SchoolCode, TerminalId},
        minutes::{DayMinutes, MinuteSet},
        usage::{self, Due, Fraction, Minutes, Period},
    },
    query,
    store::SharedStore,
    tasks::{self, Task},
};

/// Seconds without input after which use has ended, as agents are set by default.
const IDLE: u32 = 300;
/// Seconds between two looks at a machine in virtual time: less than the idle threshold.
const LOOK: usize = 240;
/// Seconds between live reports: lively to watch.
const HEARTBEAT: u32 = 15;

/// A term that has passed.
pub(super) struct Term {
    /// Every terminal that was ever on, with its journal.
    pub(super) terminals: Vec<Terminal>,
    /// Sessions in all journals.
    pub(super) sessions: usize,
    /// What really happened.
    pub(super) truth: Truth,
}

/// A terminal after the term.
pub(super) struct Terminal {
    id: TerminalId,
    journal: JournalState,
}

/// What really happened: minutes of every terminal-day that the service can know.
#[derive(Default)]
pub(super) struct Truth(BTreeMap<(TerminalId, Date), (MinuteSet, MinuteSet)>);

impl Truth {
    /// Terminal-days with any minute.
    pub(super) fn days(&self) -> usize {
        self.0.len()
    }
}

fn config(id: &TerminalId) -> CoreConfig {
    CoreConfig {
        hardware_ms: None,
        terminal: id.as_str().to_owned(),
        facts: AgentFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            os: "demo".to_owned(),
            ..AgentFacts::default()
        },
        heartbeat_seconds: HEARTBEAT,
        idle_seconds: IDLE,
        utc_offset_seconds: 0,
    }
}

/// Lets every terminal's core live through the term, without a network. Ends early where `stop` says so.
pub(super) fn pass_term(
    cast: &Cast,
    calendar: &Calendar,
    period: Period,
    seed: u64,
    zone: &TimeZone,
) -> Term {
    let mut term = Term {
        terminals: Vec::new(),
        sessions: 0,
        truth: Truth::default(),
    };
    for actor in &cast.actors {
        if actor.role == Role::Silent {
            continue;
        }
        let mut journal = JournalState::default();
        let stage = cast.registry.schools[actor.school].stage;
        let days = period
            .first
            .series(Span::new().days(1))
            .take_while(|day| *day <= period.last);
        for day in days {
            let boots = behaviour::day(seed, actor, day, calendar.teaching(stage, day));
            for (number, boot) in boots.iter().enumerate() {
                journal = live_through(actor, day, number, boot, journal, period.last, zone);
            }
            if !boots.is_empty() && !dead_clock(actor, day, period.last) {
                let truth = behaviour::truth(&boots, IDLE.into());
                term.truth.0.insert((actor.id.clone(), day), truth);
            }
        }
        term.sessions += journal.sessions().len();
        term.terminals.push(Terminal {
            id: actor.id.clone(),
            journal,
        });
    }
    term
}

/// Whether the terminal's clock battery is dead on a day: in the last three weeks before `last`.
fn dead_clock(actor: &Actor, day: Date, last: Date) -> bool {
    actor.role == Role::DeadClock && day > last.saturating_sub(Span::new().weeks(3))
}

/// One power-on of one terminal: the core sees what the script says, and leaves its journal.
fn live_through(
    actor: &Actor,
    day: Date,
    number: usize,
    boot: &Boot,
    journal: JournalState,
    last: Date,
    zone: &TimeZone,
) -> JournalState {
    let dead = dead_clock(actor, day, last);
    let midnight = day
        .to_zoned_datetime(zone.clone())
        .map_or(0, |at| at.timestamp().as_second());
    let now = |second: i64| {
        let ms = u64::try_from((second - boot.on) * 1_000).unwrap_or(0);
        // The battery is dead: every boot begins in the year 2000, and nothing tells better.
        let wall_ms = if dead {
            946_684_800_000 + (second - boot.on) * 1_000
        } else {
            (midnight + second) * 1_000
        };
        Now {
            mono_ms: ms,
            awake_ms: ms,
            wall_ms,
            wall_synced: !dead,
        }
    };
    let mut core = Core::start(
        boot_id(&actor.id, day, number),
        now(boot.on),
        config(&actor.id),
        Some(journal),
    );
    for second in looks(boot) {
        core.observe(now(second), observation(&boot.uses, boot.on, second));
    }
    if !boot.cut {
        core.shutdown(now(boot.off));
    }
    core.flush(now(boot.off))
}

/// Whole minutes at which something begins or ends, and often enough between.
fn looks(boot: &Boot) -> Vec<i64> {
    let edges = boot.uses.iter().flat_map(|one| [one.start, one.end]);
    let mut looks: Vec<i64> = (boot.on..boot.off)
        .step_by(LOOK)
        .chain(edges)
        .chain([boot.off])
        .filter(|at| *at <= boot.off)
        .collect();
    looks.sort_unstable();
    looks.dedup();
    looks
}

/// What a machine shows at a second of the day.
fn observation(uses: &[Use], on: i64, second: i64) -> Observation {
    let begun = uses.iter().filter(|one| one.start <= second);
    let last_input = begun
        .clone()
        .filter(|one| !one.film)
        .map(|one| one.end.min(second))
        .max();
    Observation {
        last_input_mono_ms: last_input.and_then(|at| u64::try_from((at - on) * 1_000).ok()),
        playing: begun.clone().any(|one| one.film && second <= one.end),
        presenting: false,
    }
}

fn boot_id(id: &TerminalId, day: Date, number: usize) -> BootId {
    let seed = behaviour::hash(&format!("{id} {day} {number}"));
    ChaCha8Rng::seed_from_u64(seed).random()
}

/// The terminals online.
pub(super) struct Live {
    tasks: Vec<Task>,
    stop: watch::Sender<bool>,
    /// Per terminal, how many sessions wait for an acknowledgement.
    progress: Vec<watch::Receiver<usize>>,
}

impl Live {
    /// Terminals whose journals are not delivered yet, and their sessions; a few open ones are always under way.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let waiting = self
            .progress
            .iter()
            .map(|waiting| *waiting.borrow())
            .filter(|waiting| *waiting > 3);
        waiting.fold((0, 0), |(terminals, sessions), one| {
            (terminals + 1, sessions.saturating_add(one))
        })
    }

    /// Stops every terminal in order.
    pub(super) async fn finish(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.finish(Duration::from_secs(5)).await;
        }
    }
}

/// Switches every terminal on, now, with the journal of the term.
pub(super) fn go_live(
    terminals: Vec<Terminal>,
    broker: SocketAddr,
    seed: u64,
    clock: &SharedClock,
    zone: &TimeZone,
) -> Live {
    let (stop, stopped) = watch::channel(false);
    let today = zone.to_datetime(clock.now()).date();
    // Yesterday's truth is settled: nobody was switched on before midnight.
    let midnight_ms = today
        .to_zoned_datetime(zone.clone())
        .map_or(0, |at| at.timestamp().as_millisecond());
    let mut live = Live {
        tasks: Vec::new(),
        stop,
        progress: Vec::new(),
    };
    for (index, terminal) in terminals.into_iter().enumerate() {
        let own_seed = seed ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut machine = Machine::new(own_seed, clock.clone(), midnight_ms);
        let boot = boot_id(&terminal.id, today, 1_000);
        let core = Core::start(
            boot,
            machine.now(),
            config(&terminal.id),
            Some(terminal.journal),
        );
        let options = Options {
            access: Access::plain(broker.ip().to_string(), broker.port()),
            login: Some(Login::without_key(terminal.id.as_str().to_owned())),
            enrolment: None,
            tick: Duration::from_secs(2),
            jitter: Duration::from_secs(2),
            seed: own_seed,
            board: StatusBoard::default(),
            utc_offset_seconds: 0,
            history: false,
            found: Vec::new(),
            save_now: SaveNow::default(),
        };
        // More than anything waits, until the driver says what really does.
        let (progress, waiting) = watch::channel(usize::MAX);
        let sense = Person {
            random: ChaCha8Rng::seed_from_u64(own_seed),
            until_ms: 0,
            busy: false,
        };
        let (stopped, journal) = (stopped.clone(), MemoryJournal::default());
        live.tasks.push(tasks::start("terminal", async move {
            publish::run(options, core, sense, machine, journal, stopped, progress).await;
        }));
        live.progress.push(waiting);
    }
    live
}

/// A machine that was switched on a moment ago.
struct Machine {
    clock: SharedClock,
    on_ms: i64,
}

impl Machine {
    fn new(seed: u64, clock: SharedClock, not_before_ms: i64) -> Self {
        let minutes = i64::from(ChaCha8Rng::seed_from_u64(seed).random_range(0..3_u8));
        let on_ms = (clock.now().as_millisecond() - minutes * 60_000).max(not_before_ms);
        Self { clock, on_ms }
    }
}

impl AgentClock for Machine {
    fn now(&mut self) -> Now {
        let wall_ms = self.clock.now().as_millisecond();
        let mono_ms = u64::try_from(wall_ms - self.on_ms).unwrap_or(0);
        Now {
            mono_ms,
            awake_ms: mono_ms,
            wall_ms,
            wall_synced: true,
        }
    }
}

/// Somebody who uses the machine for some minutes, and then does not.
struct Person {
    random: ChaCha8Rng,
    until_ms: u64,
    busy: bool,
}

impl Sense for Person {
    fn observe(&mut self, mono_ms: u64, _wall_ms: i64) -> Observation {
        if mono_ms >= self.until_ms {
            self.busy = self.random.random_range(0..3) != 0;
            self.until_ms = mono_ms + 60_000 * self.random.random_range(2..9_u64);
        }
        Observation {
            last_input_mono_ms: self.busy.then_some(mono_ms),
            playing: false,
            presenting: false,
        }
    }

    fn missing(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Compares what the service counts with what happened: every terminal-day, every school.
pub(super) async fn compare(
    store: &SharedStore,
    calendar: &Calendar,
    cast: &Cast,
    period: Period,
    truth: &Truth,
) -> Result<Vec<String>, DemoError> {
    let mut differences = Vec::new();
    let mut sums: BTreeMap<usize, (Minutes, Due)> = BTreeMap::new();
    for actor in &cast.actors {
        let stage = cast.registry.schools[actor.school].stage;
        let held: BTreeMap<Date, DayMinutes> = store
            .terminal_days(&actor.id, period)
            .await?
            .into_iter()
            .collect();
        let (minutes, due) = sums.entry(actor.school).or_default();
        for day in period
            .first
            .series(Span::new().days(1))
            .take_while(|day| *day <= period.last)
        {
            let none = (MinuteSet::EMPTY, MinuteSet::EMPTY);
            let (powered, used) = truth
                .0
                .get(&(actor.id.clone(), day))
                .copied()
                .unwrap_or(none);
            let found = held
                .get(&day)
                .map_or(none, |held| (held.powered, held.used));
            if found != (powered, used) {
                differences.push(format!(
                    "{} {day}: counted {found:?}, happened {:?}",
                    actor.id,
                    (powered, used)
                ));
            }
            *minutes += usage::terminal_day(
                calendar,
                stage,
                day,
                &DayMinutes {
                    powered,
                    used,
                    last_seen: 0,
                },
            );
            if let Some(teaching) = calendar.teaching(stage, day) {
                *due += Due {
                    service_days: 1,
                    lessons: teaching.lessons.len() as u64,
                };
            }
        }
    }
    let found =
        query::monitoring_scores(store.as_ref(), &cast.registry.counties[0].code, period).await?;
    let averages: BTreeMap<SchoolCode, Fraction> = sums
        .into_iter()
        .map(|(school, (minutes, due))| {
            (
                cast.registry.schools[school].code.clone(),
                usage::average(minutes, due),
            )
        })
        .collect();
    let highest = averages.values().max().copied().unwrap_or_default();
    for one in &found.schools {
        let average = averages[&one.school.code];
        let points = if highest == Fraction::default() {
            highest
        } else {
            average * 15 / highest
        };
        if (one.score.average, one.score.points) != (average, points) {
            let counted = (one.score.average, one.score.points);
            differences.push(format!(
                "{}: counted {counted:?}, happened {:?}",
                one.school.name,
                (average, points)
            ));
        }
    }
    Ok(differences)
}
