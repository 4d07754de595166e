//! Every page of the dashboard for a county's school year: how long the server takes and what goes over the line.
//!
//! The service runs in this process on SQLite and is asked over TCP, one page after another. Each page's first look is at a
//! service that has just started, the next ones at one that has shown it. Answers are compared with what is known
//! beforehand. Not responsible for browsers (`tests/it/dashboard`) nor for many people at once.

#![allow(clippy::expect_used, reason = "a bench that can't go on says where")]

mod ask;
mod county;
#[path = "../common/names.rs"]
mod names;
mod pages;
#[path = "../common/registry.rs"]
mod registry;
#[path = "../common/runs.rs"]
mod runs;
#[path = "../common/spread.rs"]
mod spread;

use std::ffi::OsString;

use clap::Parser;

use crate::{
    ask::{Answer, ask},
    county::{County, Service},
    pages::{LIMIT_BYTES, LIMIT_MS, Target, targets},
    spread::Spread,
};

/// Every page of the dashboard.
#[derive(Debug, Clone, Parser)]
struct Cli {
    /// Schools.
    #[arg(long, default_value_t = 100)]
    schools: u32,
    /// Terminals of one school.
    #[arg(long, default_value_t = 20)]
    terminals: u32,
    /// Weeks before today with use of every terminal, of those that are taught.
    #[arg(long, default_value_t = 44)]
    weeks: u32,
    /// Measurements of each.
    #[arg(long, default_value_t = 9)]
    repeat: usize,
    /// Only pages whose address or name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// A quick run with little data: shows that it works, measures nothing.
    #[arg(long)]
    test: bool,
}

/// How one page did.
struct Row {
    name: String,
    first: Spread,
    next: Spread,
    bytes: usize,
}

fn main() {
    let bench = OsString::from("--bench");
    let mut cli = Cli::parse_from(std::env::args_os().filter(|argument| *argument != bench));
    if cli.test {
        (cli.schools, cli.terminals, cli.weeks, cli.repeat) = (5, 3, 6, 1);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{} schools × {} terminals × {} weeks, SQLite; each {} times",
        cli.schools, cli.terminals, cli.weeks, cli.repeat
    );
    let county = County::build(&cli, &runtime);
    let wanted: Vec<Target> = targets(&county)
        .into_iter()
        .filter(|one| one.name.contains(&cli.only) || one.address.contains(&cli.only))
        .collect();
    println!(
        "{:<44} {:>22} {:>22} {:>8}",
        "milliseconds: median (max)", "first look", "next looks", "bytes"
    );
    let mut tables = Vec::new();
    let mut rows = Vec::new();
    for target in &wanted {
        let (row, answer) = measure(&county, &runtime, target, cli.repeat);
        print(&row);
        tables.extend(exports(target, &answer));
        rows.push(row);
    }
    let looked = rows.len();
    let slow = |row: &&Row| row.first.median > LIMIT_MS || row.next.median > LIMIT_MS;
    let slow: Vec<&str> = rows.iter().filter(slow).map(|row| &*row.name).collect();
    let large = |row: &&Row| row.bytes > LIMIT_BYTES;
    let large: Vec<&str> = rows.iter().filter(large).map(|row| &*row.name).collect();
    println!("{looked} pages; over {LIMIT_MS} ms: {slow:?}; over {LIMIT_BYTES} bytes: {large:?}");
    println!(
        "{} tables to download, the slowest of each page, both forms:",
        tables.len()
    );
    for target in slowest(&county, &runtime, &tables) {
        let (row, _) = measure(&county, &runtime, &target, cli.repeat.min(3));
        print(&row);
    }
    county.close();
}

fn print(row: &Row) {
    let shown = |spread: &Spread| format!("{:.1} ({:.1})", spread.median, spread.max);
    println!(
        "{:<44} {:>22} {:>22} {:>8}",
        row.name,
        shown(&row.first),
        shown(&row.next),
        row.bytes
    );
}

/// First looks, each at a service that has just started, and next looks at the last of them.
fn measure(
    county: &County,
    runtime: &tokio::runtime::Runtime,
    target: &Target,
    repeat: usize,
) -> (Row, Answer) {
    let checked = |service: &Service| {
        let answer = ask(service.address, &target.address);
        target.check(&answer);
        answer
    };
    let (mut first, mut next, mut last) = (Vec::new(), Vec::new(), None);
    for round in 0..repeat.max(1) {
        let service = Service::start(county, runtime);
        first.push(checked(&service).milliseconds);
        if round + 1 == repeat.max(1) {
            for _ in 0..repeat.max(1) {
                let answer = checked(&service);
                next.push(answer.milliseconds);
                last = Some(answer);
            }
        }
        service.stop(runtime);
    }
    let last = last.expect("an answer");
    let row = Row {
        name: target.name.clone(),
        first: Spread::of(first),
        next: Spread::of(next),
        bytes: last.packed,
    };
    (row, last)
}

/// What a page offers to download.
fn exports(target: &Target, answer: &Answer) -> Vec<Target> {
    let path = target.address.split('?').next().unwrap_or_default();
    let links = answer.text.split("class=\"export\" href=\"").skip(1);
    let addresses = links.filter_map(|rest| rest.split('"').next());
    addresses
        .map(|query| Target {
            name: format!(
                "{} {}",
                target.name,
                query.rsplit_once("format=").map_or("", |(_, end)| end)
            ),
            address: {
                let own = if query.starts_with('/') { "" } else { path };
                format!("{own}{}", query.replace("&amp;", "&"))
            },
            words: Vec::new(),
        })
        .collect()
}

/// The download of each page and form that took longest, of one look at every one.
fn slowest(county: &County, runtime: &tokio::runtime::Runtime, all: &[Target]) -> Vec<Target> {
    let service = Service::start(county, runtime);
    let mut found: Vec<(String, f64, &Target)> = Vec::new();
    for target in all {
        let answer = ask(service.address, &target.address);
        target.check(&answer);
        let form = if target.address.contains("format=csv") {
            "csv"
        } else {
            "xlsx"
        };
        let page = target.address.split('?').next().unwrap_or_default();
        let key = format!("{page} {form}");
        let took = answer.milliseconds;
        match found.iter_mut().find(|(known, ..)| *known == key) {
            Some(known) if known.1 >= took => {}
            Some(known) => (known.1, known.2) = (took, target),
            None => found.push((key, took, target)),
        }
    }
    service.stop(runtime);
    found
        .into_iter()
        .map(|(.., target)| target.clone())
        .collect()
}
