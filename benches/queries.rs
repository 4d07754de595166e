//! Questions about a whole county's term: averages of all schools, one school's terminals, the rollup rebuilt.
//!
//! The database is built once (`--folder` keeps it) and used again. Answers are compared with sums that are known beforehand.
//! Not responsible for the way of a report (`ingest`).

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a bench that can't go on says where; figures are for people"
)]

#[path = "common/names.rs"]
mod names;
#[path = "common/registry.rs"]
mod registry;
#[path = "common/repeat.rs"]
mod repeat;
#[path = "common/spread.rs"]
mod spread;

use std::{ffi::OsString, fs, path::PathBuf};

use clap::Parser;
use classpulse::{
    domain::{
        ids::Stage,
        minutes::{DayMinutes, MinuteSet},
        usage::Period,
    },
    query::{self, SchoolFilter},
    store::{Batch, Store, sqlite::SqliteStore},
};
use jiff::{
    ToSpan as _,
    civil::{Date, date},
};
use tokio::runtime::Runtime;

use crate::{
    names::{county, school, terminal},
    registry::{Size, register},
    repeat::time,
    spread::{Spread, now, seconds},
};

const FIRST: Date = date(2026, 3, 2);

/// Teaching time is 08:00 to 12:00, Monday to Friday.
const CALENDAR: &str = "name = \"试验\"\n[[term]]\nname = \"学期\"\nfirst = \"2026-03-02\"\nlast = \"2026-12-31\"\n\
    [[timetable]]\nlessons = [\"08:00-09:00\", \"09:00-10:00\", \"10:00-11:00\", \"11:00-12:00\"]\n";

/// Questions about a county's term.
#[derive(Debug, Parser)]
struct Cli {
    /// Schools.
    #[arg(long, default_value_t = 100)]
    schools: u32,
    /// Terminals of one school.
    #[arg(long, default_value_t = 100)]
    terminals: u32,
    /// Days, each with minutes of every terminal.
    #[arg(long, default_value_t = 180)]
    days: u32,
    /// 1,000 schools: 18 million terminal-days, about 8 GB on disk.
    #[arg(long, conflicts_with = "schools")]
    full: bool,
    /// Measurements of each question.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Where databases are kept for the next run.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-data"))]
    folder: PathBuf,
    /// A quick run with little data: shows that it works, measures nothing.
    #[arg(long)]
    test: bool,
}

/// Minutes from 08:00 on that a terminal of a school is used each day: 1 to 240, all of them teaching time.
fn used(school: u32, terminal: u32) -> u16 {
    u16::try_from((school * 37 + terminal * 11) % 240 + 1).expect("small")
}

struct Bench {
    cli: Cli,
    runtime: Runtime,
    store: SqliteStore,
    period: Period,
}

impl Bench {
    fn open(cli: Cli) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        fs::create_dir_all(&cli.folder).expect("a folder");
        let name = format!("queries-{}-{}-{}.db", cli.schools, cli.terminals, cli.days);
        let (path, done) = (
            cli.folder.join(&name),
            cli.folder.join(format!("{name}.done")),
        );
        let built = done.exists();
        if !built {
            // An interrupted build is begun again.
            for suffix in ["", "-wal", "-shm"] {
                fs::remove_file(cli.folder.join(format!("{name}{suffix}"))).ok();
            }
        }
        let store = SqliteStore::open(&path).expect("a database");
        let days = i32::try_from(cli.days).expect("few days");
        let last = FIRST.checked_add((days - 1).days()).expect("a day");
        let period = Period { first: FIRST, last };
        let bench = Self {
            cli,
            runtime,
            store,
            period,
        };
        if !built {
            bench.build();
            fs::write(done, "").expect("a mark");
        }
        bench
    }

    fn terminal_days(&self) -> f64 {
        f64::from(self.cli.schools) * f64::from(self.cli.terminals) * f64::from(self.cli.days)
    }

    fn build(&self) {
        let begun = now();
        self.runtime.block_on(self.register());
        let mut day = self.period.first;
        while day <= self.period.last {
            for group in 0..self.cli.schools.div_ceil(200) {
                let batch = self.batch(day, group);
                self.runtime
                    .block_on(self.store.commit(batch))
                    .expect("a commit");
            }
            day = day.tomorrow().expect("a day");
        }
        let time = seconds(begun.elapsed());
        println!(
            "  built: {:.0} terminal-days in {time:.1} s, {:.0} rows/s",
            self.terminal_days(),
            self.terminal_days() / time
        );
    }

    async fn register(&self) {
        let size = Size {
            schools: self.cli.schools,
            terminals: self.cli.terminals,
            from: FIRST,
        };
        register(&self.store, size, &[Stage::Primary], CALENDAR, 0).await;
    }

    fn batch(&self, day: Date, group: u32) -> Batch {
        let schools = group * 200..self.cli.schools.min(group * 200 + 200);
        let row = |school_index, one| {
            let used = MinuteSet::of(480, 480 + used(school_index, one));
            let minutes = DayMinutes {
                powered: MinuteSet::of(420, 900),
                used,
                last_seen: 1,
            };
            (terminal(school_index, one), day, minutes)
        };
        Batch {
            days: schools
                .flat_map(|index| (0..self.cli.terminals).map(move |one| row(index, one)))
                .collect(),
            ..Batch::default()
        }
    }

    /// Monday to Friday.
    fn teaching_days(&self) -> u64 {
        let weeks = self
            .period
            .first
            .series(1.day())
            .take(self.cli.days as usize);
        weeks
            .filter(|day| day.weekday().to_monday_zero_offset() < 5)
            .count() as u64
    }

    /// Marks everything and sums it up again. Terminal-days stay as they are.
    fn rebuild(&self) {
        let marked = self
            .runtime
            .block_on(self.store.mark_all_dirty(&county(), self.period))
            .expect("marks");
        assert_eq!(marked, u64::from(self.cli.schools * self.cli.days));
        let mut done = 0;
        loop {
            let round = self
                .runtime
                .block_on(self.store.roll_up(query::ROLL_UP_ROUND))
                .expect("a rollup");
            if round.is_empty() {
                break;
            }
            done += round.len() as u64;
        }
        assert_eq!(done, marked);
    }

    fn averages(&self) -> Spread {
        let filter = SchoolFilter::default();
        let (spread, schools) = time(self.cli.repeat, 1e-3, || {
            let county = county();
            let asked = query::school_usage(&self.store, &county, self.period, &filter);
            self.runtime.block_on(asked).expect("averages")
        });
        assert_eq!(schools.len(), self.cli.schools as usize);
        for found in &schools {
            let code: u32 = found.school.code.as_str().parse().expect("digits");
            let index = code - 2_123_000_000;
            let daily: u64 = (0..self.cli.terminals)
                .map(|one| u64::from(used(index, one)))
                .sum();
            assert_eq!(
                found.minutes.counted,
                daily * self.teaching_days(),
                "school {index}"
            );
            assert_eq!(
                found.due.service_days,
                u64::from(self.cli.terminals) * self.teaching_days()
            );
            assert_eq!(found.reporting_terminals, self.cli.terminals);
        }
        spread
    }

    fn one_school(&self) -> Spread {
        let index = self.cli.schools / 2;
        let (spread, terminals) = time(self.cli.repeat, 1e-3, || {
            let code = school(index);
            let asked = query::terminal_usage(&self.store, &code, self.period);
            self.runtime.block_on(asked).expect("terminals")
        });
        assert_eq!(terminals.len(), self.cli.terminals as usize);
        for one in 0..self.cli.terminals {
            let name = terminal(index, one);
            let found = terminals
                .iter()
                .find(|found| found.terminal == name)
                .expect("the terminal");
            assert_eq!(
                found.minutes.counted,
                u64::from(used(index, one)) * self.teaching_days()
            );
        }
        spread
    }

    /// The same averages from the terminal-days themselves, for a few schools: what a rollup spares.
    fn without_rollup(&self) -> Spread {
        let few = self.cli.schools.min(5);
        let (spread, minutes) = time(self.cli.repeat, 1e-3 * f64::from(few), || {
            let mut minutes = 0;
            for index in 0..few {
                let code = school(index);
                let asked = self.store.school_terminal_days(&code, self.period);
                let days = self.runtime.block_on(asked).expect("days");
                let teaching = days
                    .iter()
                    .filter(|(_, day, _)| day.weekday().to_monday_zero_offset() < 5);
                minutes += teaching
                    .map(|(.., day)| u64::from(day.used.count()))
                    .sum::<u64>();
            }
            minutes
        });
        let daily = |index| (0..self.cli.terminals).map(move |one| u64::from(used(index, one)));
        let expected: u64 = (0..few).flat_map(daily).sum::<u64>() * self.teaching_days();
        assert_eq!(minutes, expected);
        spread
    }
}

fn main() {
    let bench = OsString::from("--bench");
    let mut cli = Cli::parse_from(std::env::args_os().filter(|argument| *argument != bench));
    let scratch = tempfile::tempdir().expect("a folder");
    if cli.full {
        cli.schools = 1_000;
    }
    if cli.test {
        (cli.schools, cli.terminals, cli.days, cli.repeat) = (7, 10, 12, 1);
        scratch.path().clone_into(&mut cli.folder);
    }
    println!(
        "{} schools × {} terminals × {} days, SQLite; each question {} times",
        cli.schools, cli.terminals, cli.days, cli.repeat
    );
    let bench = Bench::open(cli);
    let millions = bench.terminal_days() / 1e6;
    let rebuilds = if bench.cli.full {
        1
    } else {
        bench.cli.repeat.min(3)
    };
    let (rebuilt, ()) = time(rebuilds, millions, || bench.rebuild());
    println!("  rollup rebuilt                      {rebuilt:.2} s for a million terminal-days");
    let averages = bench.averages();
    println!(
        "  averages of all schools             {averages:.1} ms   (goal for 1,000 schools: 50 ms)"
    );
    let school = bench.one_school();
    println!(
        "  one school's terminals              {school:.1} ms   (goal for 100 terminals: 20 ms)"
    );
    let raw = bench.without_rollup();
    let schools = f64::from(bench.cli.schools);
    println!("  one school without the rollup       {raw:.1} ms");
    println!(
        "    all schools without ÷ with        {:.0}",
        raw.median * schools / averages.median
    );
    bench.runtime.block_on(bench.store.close());
}
