//! A whole installation of real processes, and what can be done to it.

use std::{fmt, net::SocketAddr, time::Duration};

use classpulse::store::SharedStore;
use tempfile::TempDir;

use crate::servers::{free_port, mosquitto::Mosquitto, postgres::Postgres, process::Aggregator};

/// What is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One process and a file.
    EmbeddedSqlite,
    /// An outside broker, and a file.
    MosquittoSqlite,
    /// An outside broker, and a database server.
    MosquittoPostgres,
    /// The same with two aggregators on one shared subscription.
    TwoAggregators,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9, and started again after so long.
    KillAggregator(usize, Duration),
    KillMosquitto(Duration),
    KillPostgres(Duration),
    /// SIGSTOP, and SIGCONT after so long.
    PausePostgres(Duration),
    /// Stopped in order, and started again after so long.
    StopPostgres(Duration),
    /// Another session holds the tables of minutes so long.
    LockTables(Duration),
}

pub(crate) struct Stack {
    kind: Kind,
    aggregators: Vec<Aggregator>,
    mosquitto: Option<Mosquitto>,
    postgres: Option<Postgres>,
    /// Holds configurations, logs and the database file.
    folder: TempDir,
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl Stack {
    /// Starts all of it.
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let (mosquitto, postgres) = match kind {
            Kind::EmbeddedSqlite => (None, None),
            Kind::MosquittoSqlite => (Some(mosquitto()), None),
            Kind::MosquittoPostgres | Kind::TwoAggregators => {
                (Some(mosquitto()), Some(Postgres::start()))
            }
        };
        let store = match &postgres {
            Some(postgres) => postgres.database(),
            None => format!("sqlite:{}/test.db", folder.path().display()),
        };
        let count = if kind == Kind::TwoAggregators { 2 } else { 1 };
        let aggregators = (0..count).map(|index| {
            let broker = match &mosquitto {
                None => format!("[broker]\nlisten = \"127.0.0.1:{}\"", free_port()),
                Some(mosquitto) => format!(
                    "[broker]\nkind = \"outside\"\nhost = \"127.0.0.1\"\nport = {}\nclient_id = \"a-{index}\"\nshared = {}",
                    mosquitto.port,
                    count > 1
                ),
            };
            let mut aggregator = Aggregator::new(folder.path(), &format!("a-{index}"), &store, &broker);
            aggregator.start();
            aggregator
        });
        let aggregators = aggregators.collect();
        Self {
            kind,
            aggregators,
            mosquitto,
            postgres,
            folder,
        }
    }

    /// Where terminals connect.
    pub(crate) fn broker(&self) -> SocketAddr {
        match &self.mosquitto {
            Some(mosquitto) => mosquitto.address(),
            None => self.aggregators[0].broker(),
        }
    }

    pub(crate) async fn open_store(&self) -> SharedStore {
        self.aggregators[0].open_store().await
    }

    /// Does it, and mends it.
    pub(crate) async fn suffer(&mut self, fault: Fault) {
        println!("{self}: {fault:?}");
        match fault {
            Fault::KillAggregator(index, pause) => {
                self.aggregators[index].kill();
                tokio::time::sleep(pause).await;
                tokio::task::block_in_place(|| self.aggregators[index].start());
            }
            Fault::KillMosquitto(pause) => {
                let mosquitto = self.mosquitto.as_mut().unwrap();
                mosquitto.kill();
                tokio::time::sleep(pause).await;
                tokio::task::block_in_place(|| mosquitto.start_again());
            }
            Fault::KillPostgres(pause) => {
                let postgres = self.postgres.as_mut().unwrap();
                tokio::task::block_in_place(|| postgres.kill());
                tokio::time::sleep(pause).await;
                tokio::task::block_in_place(|| postgres.start_again());
            }
            Fault::PausePostgres(pause) => {
                let postgres = self.postgres.as_mut().unwrap();
                postgres.pause();
                tokio::time::sleep(pause).await;
                postgres.resume();
            }
            Fault::StopPostgres(pause) => {
                let postgres = self.postgres.as_mut().unwrap();
                tokio::task::block_in_place(|| postgres.end());
                tokio::time::sleep(pause).await;
                tokio::task::block_in_place(|| postgres.start_again());
            }
            Fault::LockTables(pause) => self.lock(pause).await,
        }
    }

    async fn lock(&self, pause: Duration) {
        let url = self.aggregators[0].store_url();
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        #[expect(clippy::disallowed_methods, reason = "the driver's other half")]
        let connection = tokio::spawn(connection);
        client
            .batch_execute("BEGIN; LOCK TABLE terminal_day IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        tokio::time::sleep(pause).await;
        client.batch_execute("COMMIT").await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    /// What the aggregators logged, for a failure.
    pub(crate) fn logs(&self) -> String {
        let tail = |log: String| {
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        self.aggregators
            .iter()
            .map(|one| tail(one.log()))
            .collect::<Vec<_>>()
            .join("\n----\n")
    }

    /// Ends all of it in order.
    pub(crate) fn stop(mut self) {
        for aggregator in &mut self.aggregators {
            aggregator.stop();
        }
        drop(self.folder);
    }
}

fn mosquitto() -> Mosquitto {
    Mosquitto::start(crate::servers::mosquitto::KEEPS)
}
