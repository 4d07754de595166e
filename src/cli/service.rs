//! `serve`, `config check` and `privacy`. Not responsible for what the service is made of (`app`).

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Failure, USAGE, args::Cli, open_store, output};
use crate::{
    app::App,
    clock::SystemClock,
    config::{Config, KEYS},
    privacy,
    tasks::{self, Reloads},
};

/// Runs until SIGINT or SIGTERM, then stops in order; a second signal forces the exit. SIGHUP has a renewed certificate
/// taken at once.
pub(super) async fn serve(config: Config) -> Result<(), Failure> {
    let mut reloads = Reloads::listen();
    let store = open_store(&config.store).await?;
    let app = App::start(&config, store, Arc::new(SystemClock))
        .await
        .map_err(|error| Failure::failed(&error))?;
    if let Some(setup) = &app.setup {
        let address = config.page(&setup.path);
        output::print(&format!(
            "还没有管理员。请在 24 小时内用浏览器打开这个一次性链接,设置第一个管理员账号:\n{address}"
        ));
    }
    until_stopped(&app, &mut reloads).await;
    info!("stopping; a second signal forces the exit");
    let forced = CancellationToken::new();
    let watch = tasks::start("second signal", {
        let forced = forced.clone();
        async move {
            tasks::stop_signal().await;
            forced.cancel();
        }
    });
    tokio::select! {
        () = app.stop(config.shutdown) => {}
        () = forced.cancelled() => warn!("forced to exit; what was not acknowledged comes again"),
    }
    watch.stop();
    Ok(())
}

/// Waits for the first signal to stop; SIGHUP has the certificate read again.
async fn until_stopped(app: &App, reloads: &mut Reloads) {
    let stop = tasks::stop_signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = reloads.next() => {
                if let Some(certificate) = &app.certificate {
                    certificate.renew_and_tell().await;
                } else {
                    info!("SIGHUP: there is no certificate to read again");
                }
            }
        }
    }
}

/// Explains every mistake; where there is none, shows what holds.
pub(super) fn config_check(cli: &Cli) -> Result<(), Failure> {
    match Config::load(cli.config.as_deref()) {
        Ok(config) => {
            if cli.json {
                return output::json(&json!({ "ok": true, "mistakes": [] }));
            }
            output::print(&format!(
                "ok: {config:#?}\n\nEvery key, its default and meaning:"
            ));
            for (key, default, meaning) in KEYS {
                output::print(&format!("  {key:<22} {default:<26} {meaning}"));
            }
            Ok(())
        }
        Err(error) if cli.json => {
            output::json(&json!({ "ok": false, "file": error.file, "mistakes": error.mistakes }))?;
            Err(Failure::said(USAGE, ""))
        }
        Err(error) => Err(Failure::usage(&error)),
    }
}

/// What is collected and kept, for schools to read.
pub(super) fn privacy(config: &Config, json: bool) -> Result<(), Failure> {
    let statement =
        privacy::statement(config.retention).map_err(|error| Failure::failed(&error))?;
    if json {
        return output::json(&statement);
    }
    output::print(&statement.markdown());
    Ok(())
}
