//! Connections: opening them (with TLS), keeping a few, transactions on them, and the locks that processes share.
//!
//! A lost connection is replaced when the next one is asked for; waiting before trying again is the caller's business.

use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Transaction,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::{
    Config, IsolationLevel, Row,
    config::{Host, SslMode},
    types::ToSql,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{PostgresOptions, failure::Failure};
use crate::{store::StoreError, tls};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long work waits for a free connection before it fails.
const WAIT: Duration = Duration::from_secs(30);

/// How long a peer may be silent before the connection counts as lost: a database machine that lost its power says nothing.
const SILENCE: Duration = Duration::from_secs(15);

/// Connections to one database.
pub(super) struct Connections {
    pool: Pool,
    /// One a running piece of work; closed with the store.
    permits: Semaphore,
    count: u32,
}

impl Connections {
    /// Prepares; connects when first needed.
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let config = configuration(options)?;
        let rustls = tls::client(&options.tls);
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        // Without certificates to trust, plain connections work all the same.
        let manager = match rustls {
            Ok(rustls) => Manager::from_config(config, MakeRustlsConnect::new(rustls), recycling),
            Err(tls::TlsError::NoRoots) if config.get_ssl_mode() != SslMode::Require => {
                Manager::from_config(config, tokio_postgres::NoTls, recycling)
            }
            Err(error) => return Err(StoreError::Conflict(crate::store::said(&error))),
        };
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .create_timeout(Some(CONNECT))
            .wait_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Driver {
                doing: "make a pool of connections",
                source: Box::new(error),
            })?;
        let count = u32::try_from(options.connections).unwrap_or(u32::MAX);
        Ok(Self {
            pool,
            permits: Semaphore::new(options.connections),
            count,
        })
    }

    /// A connection for one piece of work.
    pub(super) async fn get(&self) -> Result<(Object, SemaphorePermit<'_>), Failure> {
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|_closed| StoreError::Closed)?;
        Ok((self.pool.get().await?, permit))
    }

    /// Waits for running work and closes all. Later work is refused.
    pub(super) async fn close(&self) {
        // An error means that it was closed before.
        if let Ok(all) = self.permits.acquire_many(self.count).await {
            self.permits.close();
            self.pool.close();
            drop(all);
        }
    }
}

fn configuration(options: &PostgresOptions) -> Result<Config, StoreError> {
    let mut config: Config = options
        .url
        .parse()
        .map_err(|error: tokio_postgres::Error| {
            StoreError::Conflict(format!(
                "the database's URL: {}",
                crate::store::said(&error)
            ))
        })?;
    if let Some(password) = &options.password {
        config.password(password);
    }
    if config.get_application_name().is_none() {
        config.application_name("classpulse");
    }
    // Over a network, TLS unless the URL says otherwise.
    let near = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    });
    if !near && !options.url.contains("sslmode") {
        config.ssl_mode(SslMode::Require);
    }
    config
        .connect_timeout(CONNECT)
        .keepalives(true)
        .keepalives_idle(SILENCE)
        .keepalives_interval(SILENCE / 3)
        .keepalives_retries(3);
    Ok(config)
}

/// What processes exclude one another from. Held to the end of the transaction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lock {
    /// The schema: one process changes it.
    Migration,
    /// The registry and the calendars: changed by one while nobody commits minutes, so that no minutes are marked for
    /// a school in which their terminal no longer stands.
    Registry,
    /// The list of partitions.
    Partitions,
    /// Codes' uses and machines' identities: one machine enrols at a time. Taken before [`Lock::Registry`].
    Enrolment,
    /// Evaluation runs: changed by one at a time. Taken after [`Lock::Registry`].
    Evaluation,
    /// Accounts, tokens and links, where a change depends on others of them.
    Access,
}

impl Lock {
    const fn key(self) -> i64 {
        // "CLPS" in the upper half keeps other programs' locks apart.
        0x434C_5053_0000_0000
            + match self {
                Self::Migration => 1,
                Self::Registry => 2,
                Self::Partitions => 3,
                Self::Enrolment => 4,
                Self::Evaluation => 5,
                Self::Access => 6,
            }
    }
}

/// A transaction, with every statement prepared once a connection.
pub(super) struct On<'c>(Transaction<'c>);

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

impl<'c> On<'c> {
    /// A transaction that writes.
    pub(super) async fn write(connection: &'c mut Object) -> Result<Self, Failure> {
        // Said explicitly, for a server may have another default: after a lock, statements must see what its former
        // holder has committed.
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted)
            .start();
        Ok(Self(transaction.await?))
    }

    /// A transaction whose statements all see the same state of the database.
    pub(super) async fn read(connection: &'c mut Object) -> Result<Self, Failure> {
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        Ok(Self(transaction.await?))
    }

    /// Ends it; without this nothing was done.
    pub(super) async fn commit(self) -> Result<(), Failure> {
        Ok(self.0.commit().await?)
    }

    /// All rows.
    pub(super) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query(&statement, params).await?)
    }

    /// The one row.
    pub(super) async fn row(&self, sql: &str, params: Params<'_>) -> Result<Row, Failure> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query_one(&statement, params).await?)
    }

    /// A row, if there is one.
    pub(super) async fn maybe(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>, Failure> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query_opt(&statement, params).await?)
    }

    /// How many rows were touched.
    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, Failure> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, params).await?)
    }

    /// Several statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.0.batch_execute(sql).await?)
    }

    /// Waits until nobody else holds the lock.
    pub(super) async fn lock(&self, lock: Lock) -> Result<(), Failure> {
        self.execute("SELECT pg_advisory_xact_lock($1)", &[&lock.key()])
            .await?;
        Ok(())
    }

    /// Waits until nobody holds the lock alone.
    pub(super) async fn share(&self, lock: Lock) -> Result<(), Failure> {
        self.execute("SELECT pg_advisory_xact_lock_shared($1)", &[&lock.key()])
            .await?;
        Ok(())
    }
}
