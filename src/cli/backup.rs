//! `backup` and `restore`. Not responsible for what a file holds (`backup`).

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::mpsc;

use super::{
    FAILED, Failure, REFUSED,
    args::{BackupArgs, RestoreArgs},
    open_store,
    output::{self, print},
};
use crate::{
    access,
    backup::{self, BackupError, Contents, Kind},
    config::{Config, StoreUrl, without_password},
    store::{Head, SharedStore, StoreError, TerminalFilter, sqlite::SqliteStore},
    tasks::{self, blocking},
};

/// Pages of records between store and file.
const PAGES: usize = 4;

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let code = match &error {
            BackupError::Wrong { .. } | BackupError::Exists(_) => REFUSED,
            BackupError::File { .. } | BackupError::Store(_) => FAILED,
        };
        Self::said(code, crate::observe::chain(&error))
    }
}

/// Makes a backup: of a SQLite store a copy of its file, else (or if asked for) a portable export.
pub(super) async fn backup(
    config: Config,
    arguments: &BackupArgs,
    now: i64,
    json: bool,
) -> Result<(), Failure> {
    if let (StoreUrl::Sqlite(from), false) = (&config.store, arguments.portable) {
        let (from, to) = (from.clone(), arguments.file.clone());
        blocking(move || {
            let mut shown = Shown::default();
            let done = backup::copy_sqlite(&from, &to, &mut |done, all| shown.pages(done, all));
            shown.end();
            Ok::<_, Failure>(done?)
        })
        .await?;
        record_copy(&config, arguments, now).await?;
        return said(json, &arguments.file, "sqlite", None);
    }
    if let StoreUrl::Sqlite(from) = &config.store
        && !from.exists()
    {
        let from = from.display();
        return Err(Failure::said(FAILED, format!("there is no store {from}")));
    }
    let store = open_store(&config.store).await?;
    let contents = match export(&store, &arguments.file, now).await {
        Ok(contents) => record(&store, "backup", &arguments.file, now)
            .await
            .map(|()| contents),
        Err(failure) => Err(failure),
    };
    store.close().await;
    said(json, &arguments.file, "portable", Some(contents?))
}

/// Who took everything out, or put it in.
async fn record(store: &SharedStore, action: &str, file: &Path, now: i64) -> Result<(), Failure> {
    let name = file.display().to_string();
    access::record(store.as_ref(), now, action, &name).await?;
    Ok(())
}

/// The same of a copy, which needs no open store: one of an earlier program is left as it is.
async fn record_copy(config: &Config, arguments: &BackupArgs, now: i64) -> Result<(), Failure> {
    let StoreUrl::Sqlite(path) = &config.store else {
        return Ok(());
    };
    if !SqliteStore::is_current(path)? {
        tracing::warn!("the database is an earlier program's: the backup is not in its audit log");
        return Ok(());
    }
    let store = open_store(&config.store).await?;
    let done = record(&store, "backup", &arguments.file, now).await;
    store.close().await;
    done
}

async fn export(store: &SharedStore, file: &Path, now: i64) -> Result<Contents, Failure> {
    let (send, pages) = mpsc::channel(PAGES);
    let (ended, end) = std::sync::mpsc::channel::<Result<(), StoreError>>();
    let reading = tasks::start("export", {
        let store = Arc::clone(store);
        async move {
            let done = store.export(send).await;
            // The writer has gone if nobody listens: it says why itself.
            drop(ended.send(done));
        }
    });
    let file = file.to_owned();
    let written = blocking(move || {
        let mut shown = Shown::default();
        let whole = || match end.recv() {
            Ok(done) => Ok(done?),
            Err(_gone) => Err(StoreError::Closed.into()),
        };
        let done = backup::export(&file, now, pages, &mut |count| shown.records(count), whole);
        shown.end();
        Ok(done?)
    })
    .await;
    reading.finish(Duration::from_secs(5)).await;
    written
}

/// Puts a backup into the configured store, which must be empty.
pub(super) async fn restore(
    config: Config,
    arguments: &RestoreArgs,
    now: i64,
    json: bool,
) -> Result<(), Failure> {
    let file = arguments.file.clone();
    match (
        blocking(move || Ok::<_, Failure>(backup::kind(&file)?)).await?,
        &config.store,
    ) {
        (Kind::Portable, _) => restore_portable(&config, arguments, now, json).await,
        (Kind::Sqlite, StoreUrl::Sqlite(to)) => {
            let (from, to) = (arguments.file.clone(), to.clone());
            blocking(move || Ok::<_, Failure>(restore_sqlite(&from, &to)?)).await?;
            let store = open_store(&config.store).await?;
            let done = record(&store, "restore", &arguments.file, now).await;
            store.close().await;
            done?;
            said(json, &arguments.file, "sqlite", None)
        }
        (Kind::Sqlite, StoreUrl::Postgres(_)) => Err(Failure::said(
            REFUSED,
            format!(
                "{} is a SQLite file; the store is PostgreSQL. Take a portable export of it first: \
                 CLASSPULSE_STORE=sqlite:{0} classpulse backup --portable FILE",
                arguments.file.display()
            ),
        )),
    }
}

fn restore_sqlite(from: &Path, to: &Path) -> Result<(), BackupError> {
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| BackupError::File {
            file: folder.to_owned(),
            doing: "made",
            source,
        })?;
    }
    let mut shown = Shown::default();
    backup::copy_sqlite(from, to, &mut |done, all| shown.pages(done, all))?;
    shown.end();
    // Brings an older program's schema up to date, and refuses a newer one's.
    drop(SqliteStore::open(to)?);
    Ok(())
}

async fn restore_portable(
    config: &Config,
    arguments: &RestoreArgs,
    now: i64,
    json: bool,
) -> Result<(), Failure> {
    let file = arguments.file.clone();
    // Read to its end first: a file that is cut off or altered changes nothing.
    let (_, contents) = blocking(move || Ok::<_, Failure>(backup::check(&file)?)).await?;
    let store = open_store(&config.store).await?;
    let done = match fill(&store, arguments, config).await {
        Ok(()) => record(&store, "restore", &arguments.file, now).await,
        Err(failure) => Err(failure),
    };
    store.close().await;
    done?;
    said(json, &arguments.file, "portable", Some(contents))
}

async fn fill(
    store: &SharedStore,
    arguments: &RestoreArgs,
    config: &Config,
) -> Result<(), Failure> {
    let one = TerminalFilter {
        limit: Some(1),
        ..TerminalFilter::default()
    };
    let empty = store.counties().await?.is_empty()
        && store.terminals(&one).await?.is_empty()
        && store.audit_head().await? == Head::NONE;
    if !empty && !arguments.resume {
        let store = match &config.store {
            StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            StoreUrl::Postgres(postgres) => without_password(&postgres.url),
        };
        return Err(Failure::said(
            REFUSED,
            format!(
                "the store {store} is not empty: restore into an empty one, or finish an interrupted restore with --resume"
            ),
        ));
    }
    let (send, mut pages) = mpsc::channel(PAGES);
    let file = arguments.file.clone();
    let reading = tokio::task::spawn_blocking(move || {
        backup::pages(&file, &mut |page| {
            send.blocking_send(page)
                .map_err(|_gone| StoreError::Closed.into())
        })
    });
    let mut shown = Shown::default();
    let mut count = 0;
    while let Some(page) = pages.recv().await {
        count += page.len() as u64;
        store.take_in(page).await?;
        shown.records(count);
    }
    drop(pages);
    reading.await.map_err(|error| Failure::failed(&error))??;
    while !store.roll_up(1_000).await?.is_empty() {}
    shown.end();
    Ok(())
}

fn said(json: bool, file: &Path, kind: &str, contents: Option<Contents>) -> Result<(), Failure> {
    if json {
        return output::json(&json!({ "file": file, "kind": kind, "contents": contents }));
    }
    match contents {
        None => print(&format!("完成:{}(SQLite 文件)", file.display())),
        Some(contents) => print(&format!(
            "完成:{}(可移植导出):{} 个县、{} 所学校、{} 份日历、{} 台终端、{} 个终端日、{} 条隔离记录、{} 个注册码、{} 份终端身份、{} 条事件、{} 次考核、{} 个账号、{} 条操作记录",
            file.display(),
            contents.counties,
            contents.schools,
            contents.calendars,
            contents.terminals,
            contents.days,
            contents.refusals,
            contents.codes,
            contents.identities,
            contents.incidents,
            contents.runs,
            contents.accounts,
            contents.recorded
        )),
    }
    Ok(())
}

/// Progress on standard error, where that is a terminal.
#[derive(Default)]
struct Shown {
    any: bool,
}

impl Shown {
    fn pages(&mut self, done: u64, all: u64) {
        self.line(&format!(
            "{} %",
            (done * 100).checked_div(all).unwrap_or(100)
        ));
    }

    fn records(&mut self, count: u64) {
        self.line(&format!("{count} records"));
    }

    fn line(&mut self, text: &str) {
        use std::io::IsTerminal as _;
        if std::io::stderr().is_terminal() {
            eprint!("\r{text}    ");
            self.any = true;
        }
    }

    fn end(&mut self) {
        if self.any {
            eprintln!();
        }
    }
}
