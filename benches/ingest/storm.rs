//! The storm: thousands of terminals on the embedded broker, and all of them at once after a restart.
//!
//! Not responsible for sustained load (`load`).

use std::time::Duration;

use rustix::process::Signal;

use crate::{
    Common, Rig,
    reports::Form,
    servers,
    spread::{Spread, seconds},
    terminals::{Answer, Plan, Terminals},
};

/// How long all may take to get through.
const PATIENCE: Duration = Duration::from_mins(5);

/// The storm's options.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StormArgs {
    /// Terminals, each with a connection of its own.
    #[arg(long, default_value_t = 20_000)]
    pub terminals: usize,
    /// Restarts of the service.
    #[arg(long, default_value_t = 3)]
    pub repeat: usize,
}

/// Connects all, restarts the service, connects all again; prints times and memory.
pub(crate) fn run(arguments: &StormArgs, common: &Common) {
    let wanted = if common.test {
        300
    } else {
        arguments.terminals
    };
    // The service holds three ends of each terminal's way (its front, and both ends of the passage to the library), and
    // some files besides.
    let room = crate::raise_open_files().saturating_sub(300) / 3;
    let count = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
    if count < wanted {
        println!("the limit of open files leaves room for {count} of {wanted} terminals");
    }
    let rig = Rig::embedded(count, Form::Protobuf, 20);
    let settings = rig.settings.clone();
    let mut service = servers::service(rig.folder.path(), &settings);
    let mut terminals = Terminals::new(Plan {
        port: settings.broker,
        terminals: count,
        connections: count,
        inflight: 1,
        rate: 0,
        answer: Answer::PubAck,
        reports: rig.reports,
    });
    let at_first = terminals.connect(PATIENCE);
    let first_reports = terminals.one_each(PATIENCE);
    println!("{count} terminals on the embedded broker, SQLite");
    println!(
        "  connected and subscribed            {:.2} s",
        seconds(at_first)
    );
    println!(
        "  a report of each, committed         {:.2} s",
        seconds(first_reports)
    );
    println!(
        "  memory of the service, peak         {:.0} MB",
        service.cost().megabytes
    );
    let (mut through, mut told) = (Vec::new(), Vec::new());
    for _ in 0..arguments.repeat.max(1) {
        service.stop(Signal::TERM);
        terminals.hang_up();
        service = servers::service(rig.folder.path(), &settings);
        through.push(seconds(terminals.connect(PATIENCE)));
        told.push(seconds(terminals.one_each(PATIENCE)));
    }
    println!(
        "  after a restart: all connected      {:.2} s",
        Spread::of(through)
    );
    println!(
        "  then a report of each, committed    {:.2} s",
        Spread::of(told)
    );
    println!(
        "  memory of the service, peak         {:.0} MB",
        service.cost().megabytes
    );
    let sent = terminals.sent();
    let minutes = crate::verify::everything(settings.api, &rig.reports, &sent);
    println!("  verified: {minutes} minutes of {count} terminals, exactly as sent");
    println!("  {}", service.stop(Signal::TERM));
}
