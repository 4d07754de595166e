//! The simulation itself: it passes, it repeats itself, its checker finds built-in faults, and both stores agree.

use classpulse::{
    domain::{
        ids::{SchoolCode, Stage, TerminalId},
        minutes::DayMinutes,
        usage::Period,
    },
    simulate::{self, Faults, Figures, Keeper, MemoryStore, Options, Outcome, Sabotage, report},
    store::{
        Batch, Committed, County, Placement, Quarantined, RegistryChange, School, Standing, Store,
        StoreError, sqlite::SqliteStore,
    },
};
use jiff::civil::{Date, date};

/// Four school days.
const SHORT: Options = Options {
    days: 4,
    terminals: 8,
    sabotage: None,
    case: None,
};

fn play(seed: u64, options: Options) -> Outcome {
    let mut store = MemoryStore::new(options.sabotage == Some(Sabotage::LastWriterWins));
    simulate::run(seed, &options, &mut store).unwrap()
}

fn assert_whole(outcome: &Outcome) {
    let seed = outcome.seed;
    let said: Vec<String> = outcome
        .differences
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(said.is_empty(), "seed {seed}: {said:#?}");
    let figures = &outcome.figures;
    assert_eq!((figures.lost, figures.doubled), (0, 0), "seed {seed}");
    let found = figures.counted
        + figures.waiting
        + figures.quarantined
        + figures.misdated
        + figures.gone
        + figures.tail;
    assert_eq!(found, figures.truth, "seed {seed}: {figures:?}");
}

/// Rows of the matrix that failed once, with the seed: a copied disk's end in quarantine, an input that was seen after a
/// sleep only, a clock that was set over one.
#[test]
fn what_failed_once_holds() {
    use simulate::case::{Case, Clock, DiskFate, Image, Power};
    for (seed, clock, image) in [
        (8, Clock::Right, Image::OneIdentity),
        (7, Clock::DiesAsleep, Image::ToldApart),
        (1, Clock::SetBack, Image::Own),
    ] {
        let case = Case {
            clock,
            power: Power::Orderly,
            disk: DiskFate::Kept,
            image,
        };
        let options = Options {
            days: 14,
            terminals: 20,
            sabotage: None,
            case: Some(case),
        };
        assert_whole(&play(seed, options));
    }
}

#[test]
fn no_minute_is_lost_or_counted_twice() {
    let (mut figures, mut faults) = (Figures::default(), Faults::default());
    for seed in 1..=30 {
        let outcome = play(seed, SHORT);
        assert_whole(&outcome);
        figures += &outcome.figures;
        faults += &outcome.faults;
    }
    for fault in report::Fault::ALL {
        assert!(faults.of(*fault) > 0, "never played: {}", fault.name());
    }
    assert!(figures.truth > 300_000, "{figures:?}");
    let counted = figures.counted * 100 / figures.truth;
    assert!(counted >= 85, "most minutes must be counted: {figures:?}");
    for allowed in [figures.waiting, figures.quarantined, figures.misdated] {
        assert!(allowed > 0, "{figures:?}");
    }
    // A cut takes at most a boundary minute, of both kinds.
    assert!(figures.tail < figures.boots, "{figures:?}");
    assert!(figures.gone > 0, "{figures:?}");
}

#[test]
fn the_same_seed_plays_the_same_world_and_another_one_does_not() {
    assert_eq!(play(7, SHORT), play(7, SHORT));
    assert_ne!(play(7, SHORT).digest, play(8, SHORT).digest);
}

#[test]
fn the_checker_finds_every_built_in_fault() {
    for sabotage in [
        Sabotage::LastWriterWins,
        Sabotage::AckBeforeCommit,
        Sabotage::JournalNotWritten,
        Sabotage::TornAccepted,
        Sabotage::ForgetEarly,
        Sabotage::Invented,
    ] {
        let options = Options {
            sabotage: Some(sabotage),
            ..SHORT
        };
        let found = (1..=20).any(|seed| !play(seed, options).differences.is_empty());
        assert!(found, "{sabotage:?} was not found in 20 seeds");
    }
}

/// The real store behind the simulation's seam.
struct Sqlite {
    runtime: tokio::runtime::Runtime,
    store: SqliteStore,
    _folder: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            store: SqliteStore::open(&folder.path().join("simulation.db")).unwrap(),
            _folder: folder,
        }
    }
}

impl Keeper for Sqlite {
    fn register(&mut self, terminals: &[(TerminalId, Date)]) -> Result<(), StoreError> {
        let county = County {
            code: "231123".parse().unwrap(),
            name: "逊克县".to_owned(),
        };
        let code: SchoolCode = "XK-01".parse().unwrap();
        let school = School {
            code: code.clone(),
            name: "一小".to_owned(),
            stage: "小学".parse::<Stage>().unwrap(),
            township: String::new(),
            county: county.code.clone(),
        };
        let place = |(terminal, from): &(TerminalId, Date)| {
            let placement = Placement {
                school: code.clone(),
                room: String::new(),
                from: *from,
                to: None,
            };
            (terminal.clone(), vec![placement])
        };
        let change = RegistryChange {
            counties: vec![county],
            schools: vec![school],
            placements: terminals.iter().map(place).collect(),
        };
        self.runtime.block_on(self.store.change_registry(change))
    }

    fn standings(&mut self, terminals: &[TerminalId]) -> Result<Vec<Standing>, StoreError> {
        self.runtime.block_on(self.store.standings(terminals))
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, StoreError> {
        self.runtime.block_on(self.store.commit(batch))
    }

    fn days(&mut self, terminal: &TerminalId) -> Result<Vec<(Date, DayMinutes)>, StoreError> {
        let always = Period {
            first: date(1970, 1, 1),
            last: date(9999, 12, 31),
        };
        self.runtime
            .block_on(self.store.terminal_days(terminal, always))
    }

    fn quarantine(&mut self) -> Result<Vec<Quarantined>, StoreError> {
        self.runtime.block_on(self.store.quarantine(0, 1_000_000))
    }
}

#[test]
fn sqlite_and_memory_agree() {
    let options = Options {
        days: 3,
        terminals: 5,
        sabotage: None,
        case: None,
    };
    for seed in 1..=3 {
        let (mut memory, mut sqlite) = (MemoryStore::default(), Sqlite::new());
        let outcome = simulate::run(seed, &options, &mut memory).unwrap();
        assert_eq!(
            simulate::run(seed, &options, &mut sqlite).unwrap(),
            outcome,
            "seed {seed}"
        );
        assert_whole(&outcome);
        for number in 0..options.terminals {
            let terminal: TerminalId = format!("T-{number:04}").parse().unwrap();
            assert_eq!(
                sqlite.days(&terminal).unwrap(),
                memory.days(&terminal).unwrap(),
                "seed {seed}, {terminal}"
            );
        }
        assert_eq!(
            sqlite.quarantine().unwrap(),
            memory.quarantine().unwrap(),
            "seed {seed}"
        );
    }
}
