//! A county's evaluation run: how long scoring, freezing and verifying take, and how large the parts of a frozen run are.
//!
//! Use is as in classrooms, some lessons a day, differently each day, so that parts deflate as real ones do. Figures are
//! compared with sums that are known beforehand.

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
#[path = "common/runs.rs"]
mod runs;
#[path = "common/spread.rs"]
mod spread;

use std::{collections::BTreeMap, ffi::OsString, sync::Arc};

use clap::Parser;
use classpulse::{
    domain::{
        ids::{SchoolCode, Stage},
        minutes::DayMinutes,
        rubric,
        usage::Period,
    },
    evaluation::{Changes, Excluded, enter, freeze, load, verify, what_if},
    store::{Batch, EvaluationStore as _, NewRun, Record, Store, sqlite::SqliteStore},
};
use jiff::{
    ToSpan as _,
    civil::{Date, date},
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::{runtime::Runtime, sync::mpsc};

use crate::{
    names::{county, school, terminal},
    registry::{Size, register},
    repeat::time,
    runs::{answers, freezing, used},
    spread::{now, seconds},
};

const FIRST: Date = date(2026, 3, 2);

const CALENDAR: &str = "name = \"试验\"\n[[term]]\nname = \"学期\"\nfirst = \"2026-03-02\"\nlast = \"2026-12-31\"\n\
    [[timetable]]\nhours = [\"08:00-16:00\"]\n";

/// A county's evaluation run.
#[derive(Debug, Parser)]
struct Cli {
    /// Schools.
    #[arg(long, default_value_t = 100)]
    schools: u32,
    /// Terminals of one school.
    #[arg(long, default_value_t = 20)]
    terminals: u32,
    /// Days, of which five in seven are taught.
    #[arg(long, default_value_t = 140)]
    days: u32,
    /// Measurements of each.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// A quick run with little data: shows that it works, measures nothing.
    #[arg(long)]
    test: bool,
}

struct Bench {
    cli: Cli,
    runtime: Runtime,
    store: Arc<SqliteStore>,
    period: Period,
    /// What each school's terminals were used in all.
    counted: BTreeMap<SchoolCode, u64>,
}

impl Bench {
    fn open(cli: Cli, folder: &std::path::Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let store = SqliteStore::open(&folder.join("evaluation.db")).expect("a database");
        let last = FIRST.checked_add((i64::from(cli.days) - 1).days());
        let mut bench = Self {
            cli,
            runtime,
            store: Arc::new(store),
            period: Period {
                first: FIRST,
                last: last.expect("a day"),
            },
            counted: BTreeMap::new(),
        };
        bench.register();
        bench.report();
        bench
    }

    fn register(&self) {
        let size = Size {
            schools: self.cli.schools,
            terminals: self.cli.terminals,
            from: FIRST,
        };
        let registered = register(&self.store, size, &[Stage::Junior], CALENDAR, 0);
        self.runtime.block_on(registered);
    }

    /// Every teaching day of every terminal.
    fn report(&mut self) {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut day = self.period.first;
        while day <= self.period.last {
            let mut batch = Batch::default();
            if day.weekday().to_monday_zero_offset() < 5 {
                for index in 0..self.cli.schools {
                    for one in 0..self.cli.terminals {
                        let used = used(&mut random);
                        *self.counted.entry(school(index)).or_default() += u64::from(used.count());
                        let minutes = DayMinutes {
                            powered: used,
                            used,
                            last_seen: 1,
                        };
                        batch.days.push((terminal(index, one), day, minutes));
                    }
                }
            }
            self.runtime
                .block_on(self.store.commit(batch))
                .expect("a commit");
            day = day.tomorrow().expect("a day");
        }
    }

    /// A draft with evidence for every item of every school.
    fn draft(&self, key: &str) -> i64 {
        self.runtime.block_on(async {
            let put = self.store.put_rubric(rubric::DEFAULT, 0).await;
            let new = NewRun {
                key: key.to_owned(),
                county: county(),
                name: "考核".to_owned(),
                period: self.period,
                rubric: put.expect("a rubric"),
                supersedes: None,
                minutes_from: None,
                by: "王五".to_owned(),
                at: 0,
                evidence: Vec::new(),
                exclusions: Vec::new(),
            };
            let run = self.store.create_run(new).await.expect("a run").id;
            let entries = answers((0..self.cli.schools).map(school));
            let entered = enter(&*self.store, run, None, entries).await;
            entered.expect("evidence");
            run
        })
    }

    fn check(&self, run: i64) {
        let loaded = self.runtime.block_on(load(&*self.store, run));
        let results = loaded.expect("results").results;
        assert_eq!(results.schools.len(), self.cli.schools as usize);
        for one in &results.schools {
            assert_eq!(one.monitoring.counted, self.counted[&one.school.code]);
        }
    }

    /// Bytes of a frozen run's parts, as contents and as they are kept.
    fn sizes(&self, run: i64) -> (u64, u64, u64) {
        let parts = self.runtime.block_on(self.store.run_parts(run));
        let parts = parts.expect("parts");
        let minutes = parts.iter().filter(|part| part.key.starts_with("minutes/"));
        let minutes = minutes.map(|part| part.bytes).sum();
        let (send, mut pages) = mpsc::channel(4);
        let kept = self.runtime.block_on(async {
            let read = async {
                let mut kept = 0;
                while let Some(page) = pages.recv().await {
                    for record in page {
                        if let Record::RunPart(part) = record {
                            kept += part.deflated.len() as u64;
                        }
                    }
                }
                kept
            };
            let (done, kept) = futures::future::join(self.store.export(send), read).await;
            done.expect("an export");
            kept
        });
        (parts.iter().map(|part| part.bytes).sum(), minutes, kept)
    }
}

fn main() {
    let bench = OsString::from("--bench");
    let mut cli = Cli::parse_from(std::env::args_os().filter(|argument| *argument != bench));
    let scratch = tempfile::tempdir().expect("a folder");
    if cli.test {
        (cli.schools, cli.terminals, cli.days, cli.repeat) = (5, 3, 14, 1);
    }
    println!(
        "{} schools × {} terminals × {} days, SQLite; each {} times",
        cli.schools, cli.terminals, cli.days, cli.repeat
    );
    let repeat = cli.repeat;
    let bench = Bench::open(cli, scratch.path());
    let begun = now();
    let first = bench.draft("first");
    println!(
        "  evidence of every item entered      {:.0} ms",
        seconds(begun.elapsed()) * 1e3
    );
    let (scored, ()) = time(repeat, 1e-3, || bench.check(first));
    println!("  a draft read and scored             {scored:.0} ms");
    let mut drafts: Vec<i64> = (1..repeat.max(1))
        .map(|number| bench.draft(&format!("run-{number}")))
        .collect();
    drafts.push(first);
    let (frozen, _) = time(repeat, 1e-3, || {
        let run = drafts.pop().expect("a draft a measurement");
        let done = bench
            .runtime
            .block_on(freeze(&*bench.store, run, freezing(date(2027, 1, 20))));
        done.expect("a frozen run")
    });
    println!("  frozen                              {frozen:.0} ms");
    bench.check(first);
    let (verified, found) = time(repeat, 1e-3, || {
        let done = bench.runtime.block_on(verify(&*bench.store, first));
        done.expect("an answer")
    });
    assert!(found.is_sound(), "{found:?}");
    println!("  verified                            {verified:.0} ms");
    let (tried, what) = time(repeat, 1e-3, || {
        let changes = Changes {
            exclude: vec![Excluded {
                terminal: terminal(0, 0),
                first: FIRST,
                last: FIRST,
            }],
            ..Changes::default()
        };
        let done = bench
            .runtime
            .block_on(what_if(&*bench.store, first, changes));
        done.expect("an answer")
    });
    assert!(!what.schools[0].items.is_empty());
    println!("  a what-if on the frozen run         {tried:.0} ms");
    let (bytes, minutes, kept) = bench.sizes(first);
    let mega = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "  its parts                           {:.2} MB, of which minutes {:.2} MB; {:.2} MB as kept",
        mega(bytes),
        mega(minutes),
        mega(kept) / repeat as f64
    );
    bench.runtime.block_on(bench.store.close());
}
