//! Sustained load: the same system measured over several windows, then drained, restarted and compared with what was sent.
//!
//! Not responsible for the generator (`terminals`) or the processes (`servers`).

use std::{path::PathBuf, process::Command, time::Duration};

use hdrhistogram::Histogram;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    Common, Rig,
    reports::Form,
    servers::{self, Cost, Server},
    setup::{self, Settings},
    spread::{Spread, seconds},
    terminals::{Answer, Plan, Seen, Terminals},
};

/// How long what is under way may take to be answered at the end.
const PATIENCE: Duration = Duration::from_mins(3);

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Broker {
    /// Inside the service; each terminal has its own connection.
    Embedded,
    /// A process of its own; connections may carry many terminals.
    Mosquitto,
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Database {
    /// One file, synchronous=FULL.
    Sqlite,
    /// A cluster of its own, fsync on.
    Postgres,
}

/// Options of the load.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadArgs {
    /// The broker.
    #[arg(long, value_enum, default_value = "embedded")]
    broker: Broker,
    /// The store.
    #[arg(long, value_enum, default_value = "sqlite")]
    store: Database,
    /// How reports are written.
    #[arg(long, value_enum, default_value = "protobuf")]
    form: Form,
    /// Terminals, all registered.
    #[arg(long, default_value_t = 10_000)]
    terminals: usize,
    /// Connections. With the embedded broker one a terminal; with Mosquitto 200 unless given.
    #[arg(long)]
    connections: Option<usize>,
    /// Unanswered reports a connection, 1 to 1,000 (embedded broker: 64). Unless given, 2 with the embedded broker and 50 with Mosquitto.
    #[arg(long)]
    inflight: Option<usize>,
    /// Reports a second; 0 for as many as possible.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Length of one window, seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Windows.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Seconds of load before the first window.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// One report in so many asks for an answer: agents that report once a minute ask every five minutes.
    #[arg(long, default_value_t = 5)]
    answers: u64,
    /// Aggregators on a shared subscription; more than one only with Mosquitto.
    #[arg(long, default_value_t = 1)]
    aggregators: usize,
    /// How long a batch waits for company, ms.
    #[arg(long, default_value_t = 20)]
    linger: u64,
    /// Mosquitto writes its queues to disk now and then.
    #[arg(long)]
    persistence: bool,
    /// Records every part but the generator with `perf` during the windows, into this folder.
    #[arg(long, value_name = "FOLDER")]
    perf: Option<PathBuf>,
}

impl LoadArgs {
    fn quick(&self) -> Self {
        Self {
            terminals: self.terminals.min(300),
            connections: self.connections.or(Some(match self.broker {
                Broker::Embedded => 300,
                Broker::Mosquitto => 10,
            })),
            seconds: 1,
            repeat: 1,
            warm_up: 0,
            ..self.clone()
        }
    }

    fn plan(&self, rig: &Rig) -> Plan {
        let (connections, inflight, answer) = match self.broker {
            Broker::Embedded => (self.terminals, 2, Answer::PubAck),
            Broker::Mosquitto => (200.min(self.terminals), 50, Answer::Ack),
        };
        let connections = match self.broker {
            Broker::Embedded => connections,
            Broker::Mosquitto => self.connections.unwrap_or(connections),
        };
        Plan {
            port: rig.settings.broker,
            terminals: self.terminals,
            connections,
            inflight: self.inflight.unwrap_or(inflight),
            rate: self.rate,
            answer,
            reports: rig.reports,
        }
    }
}

/// One window: what was answered, and what every part cost meanwhile (CPU seconds).
struct Window {
    seen: Seen,
    cpu: Vec<f64>,
}

/// Everything that runs, the aggregators last.
struct System {
    parts: Vec<Server>,
    /// How many of the parts stand behind the aggregators.
    outside: usize,
    settings: Vec<Settings>,
}

/// Measures, prints, compares.
pub(crate) fn run(arguments: &LoadArgs, common: &Common) {
    crate::raise_open_files();
    let arguments = if common.test {
        arguments.quick()
    } else {
        arguments.clone()
    };
    let aggregators = arguments.aggregators;
    assert!(
        aggregators == 1 || (aggregators > 1 && arguments.broker == Broker::Mosquitto),
        "several aggregators share the reports of an outside broker"
    );
    let (rig, mut system) = start(&arguments);
    let plan = arguments.plan(&rig);
    let mut terminals = Terminals::new(plan);
    terminals.connect(PATIENCE);
    terminals.run(Duration::from_secs(arguments.warm_up));
    let recording = arguments
        .perf
        .as_ref()
        .map(|folder| record(&system, folder, &arguments));
    let windows: Vec<Window> = (0..arguments.repeat.max(1))
        .map(|_| {
            window(
                &mut terminals,
                &system,
                Duration::from_secs(arguments.seconds),
            )
        })
        .collect();
    let rest = terminals.drain(PATIENCE);
    for mut child in recording.into_iter().flatten() {
        drop(child.wait());
    }
    let costs = costs(&system);
    print(&arguments, &plan, &windows, &costs, rest.again);
    let sent = terminals.sent();
    drop(terminals);
    system.restart_first(&rig);
    let minutes = crate::verify::everything(system.settings[0].api, &rig.reports, &sent);
    println!(
        "  verified: {} reports, {minutes} powered minutes of {} terminals, exactly as sent",
        sent.iter().sum::<u64>(),
        sent.len()
    );
    system.stop();
}

fn start(arguments: &LoadArgs) -> (Rig, System) {
    let folder = TempDir::new().expect("a folder");
    let mut parts = Vec::new();
    let store = match arguments.store {
        Database::Sqlite => format!("sqlite:{}", folder.path().join("bench.db").display()),
        Database::Postgres => {
            let (server, url) = servers::postgres(folder.path());
            parts.push(server);
            url
        }
    };
    let broker = setup::free_port().expect("a port");
    if arguments.broker == Broker::Mosquitto {
        parts.push(servers::mosquitto(
            folder.path(),
            broker,
            arguments.persistence,
        ));
    }
    let all: Vec<Settings> = (1..=arguments.aggregators)
        .map(|number| Settings {
            store: store.clone(),
            api: setup::free_port().expect("a port"),
            broker,
            outside: (arguments.broker == Broker::Mosquitto)
                .then_some((number, arguments.aggregators)),
            linger: arguments.linger,
        })
        .collect();
    let rig = Rig::new(arguments.form, arguments.answers, all[0].clone(), folder);
    rig.register(arguments.terminals);
    let outside = parts.len();
    parts.extend(
        all.iter()
            .map(|settings| servers::service(rig.folder.path(), settings)),
    );
    let system = System {
        parts,
        outside,
        settings: all,
    };
    (rig, system)
}

impl System {
    /// Stops all aggregators in order and starts the first again, as after a deployment.
    fn restart_first(&mut self, rig: &Rig) {
        for aggregator in self.parts.split_off(self.outside) {
            let name = aggregator.name.clone();
            println!("  {name}: {}", aggregator.stop(Signal::TERM));
        }
        self.parts
            .push(servers::service(rig.folder.path(), &self.settings[0]));
    }

    /// Aggregators first; PostgreSQL ends fast on SIGINT.
    fn stop(self) {
        for part in self.parts.into_iter().rev() {
            let signal = if part.name == "PostgreSQL" {
                Signal::INT
            } else {
                Signal::TERM
            };
            part.stop(signal);
        }
    }
}

/// The parts, then the generator.
fn costs(system: &System) -> Vec<(String, Cost)> {
    let mut costs: Vec<_> = system
        .parts
        .iter()
        .map(|part| (part.name.clone(), part.cost()))
        .collect();
    costs.push(("load generator".to_owned(), servers::own_cost()));
    costs
}

fn window(terminals: &mut Terminals, system: &System, time: Duration) -> Window {
    let before = costs(system);
    let seen = terminals.run(time);
    let after = costs(system);
    let cpu = before
        .iter()
        .zip(&after)
        .map(|(before, after)| after.1.cpu - before.1.cpu)
        .collect();
    Window { seen, cpu }
}

fn record(
    system: &System,
    folder: &std::path::Path,
    arguments: &LoadArgs,
) -> Vec<std::process::Child> {
    std::fs::create_dir_all(folder).expect("a folder for perf");
    let time = arguments.seconds * arguments.repeat.max(1) as u64;
    let start = |part: &Server| {
        let file = folder.join(format!("{}.data", part.name.replace([' ', '(', ')'], "_")));
        Command::new("perf")
            .args(["record", "-q", "-F", "499", "-g", "-p", &part.pid(), "-o"])
            .arg(file)
            .args(["--", "sleep", &time.to_string()])
            .spawn()
            .expect("perf")
    };
    system.parts.iter().map(start).collect()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_second(seen: &Seen) -> f64 {
    seen.answered as f64 / seconds(seen.time)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(
    arguments: &LoadArgs,
    plan: &Plan,
    windows: &[Window],
    costs: &[(String, Cost)],
    late_again: u64,
) {
    let (broker, store, form) = (arguments.broker, arguments.store, arguments.form);
    println!(
        "{broker:?} + {store:?}, {form:?}, {} aggregator(s); {} terminals, {} connections, {} in flight each, {}; {} × {} s",
        arguments.aggregators,
        plan.terminals,
        plan.connections,
        plan.inflight,
        if plan.rate == 0 {
            "as fast as possible".to_owned()
        } else {
            format!("{} reports/s asked", plan.rate)
        },
        windows.len(),
        arguments.seconds,
    );
    let rate = Spread::of(windows.iter().map(|window| per_second(&window.seen)));
    println!("  reports/s, committed and answered   {rate:.0}");
    let goal = match (broker, store) {
        (Broker::Embedded, Database::Sqlite) => Some(50_000.0),
        (Broker::Mosquitto, Database::Postgres) => Some(67_000.0),
        _ => None,
    };
    if let (Some(goal), 0) = (goal, plan.rate) {
        println!(
            "    of the goal {goal:.0}                 {:.2}",
            rate.median / goal
        );
    }
    println!("  CPU seconds for 100,000 reports, and peak memory:");
    let mut all = vec![0.0; windows.len()];
    for (index, (name, cost)) in costs.iter().enumerate() {
        let each: Vec<f64> = windows
            .iter()
            .map(|window| window.cpu[index] / (window.seen.answered.max(1) as f64 / 100_000.0))
            .collect();
        for (sum, one) in all.iter_mut().zip(&each) {
            *sum += one;
        }
        println!(
            "    {name:<24} {:.2}   {:.0} MB",
            Spread::of(each),
            cost.megabytes
        );
    }
    println!("    {:<24} {:.2}", "all", Spread::of(all));
    let mut latency =
        Histogram::<u64>::new_with_bounds(1, 600_000_000, 3).expect("constant bounds");
    let mut again = late_again;
    for window in windows {
        latency.add(&window.seen.latency).expect("the same bounds");
        again += window.seen.again;
    }
    let at = |quantile| Duration::from_micros(latency.value_at_quantile(quantile));
    println!(
        "  publish to commit and answer        p50 {:.1?}  p99 {:.1?}  p99.9 {:.1?}  max {:.1?}",
        at(0.5),
        at(0.99),
        at(0.999),
        Duration::from_micros(latency.max())
    );
    if again > 0 {
        println!("  reports that had to be sent again: {again}");
    }
}
