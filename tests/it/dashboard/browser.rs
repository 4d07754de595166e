//! Chromium under `WebDriver`: started on a free port, ended with its test.
//!
//! Installed by `deploy/test`; the browser dies with its driver, and the driver with this value.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::{free_port, wait_for};

/// How long a page may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one window.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    _folder: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("browser");
        // Whatever happens to the driver, no browser is left behind.
        let script = "#!/bin/sh\nexec setpriv --pdeathsig KILL chromium \"$@\"\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port();
        let driver = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "chromedriver", "--log-level=SEVERE"])
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, of Debian's chromium-driver: run ./deploy/test once");
        wait_for(port, "chromedriver");
        let options = json!({
            "binary": program,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=zh-CN",
                "--no-first-run", "--disable-background-networking",
                format!("--user-data-dir={}", folder.path().join("profile").display()),
            ],
        });
        let wanted: Capabilities = [
            ("goog:chromeOptions".to_owned(), options),
            ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
        ]
        .into_iter()
        .collect();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self {
            client,
            driver,
            _folder: folder,
        }
    }

    /// Ends the browser in order.
    pub(crate) async fn stop(self) {
        self.client.clone().close().await.unwrap();
    }

    /// Gives pages a window of this size, a phone's too: windows themselves are never so narrow.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// One of Chromium's own commands.
    pub(crate) async fn devtools(&self, command: &'static str, parameters: Value) {
        let command = DevTools(command, parameters);
        self.client.issue_cmd(command).await.unwrap();
    }

    pub(crate) async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    /// The first element, waited for.
    pub(crate) async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE);
        found.for_element(Locator::Css(css)).await.unwrap()
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// Every element's text, all at one moment.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let script = "return Array.from(document.querySelectorAll(arguments[0])).map(one => one.textContent)";
        serde_json::from_value(self.run(script, vec![json!(css)]).await).unwrap()
    }

    /// Every row of a table as its cells' texts.
    pub(crate) async fn rows(&self, table: &str) -> Vec<Vec<String>> {
        let script = "return Array.from(document.querySelectorAll(arguments[0] + ' tbody tr'))\
            .map(row => Array.from(row.cells).map(cell => cell.textContent.trim()))";
        serde_json::from_value(self.run(script, vec![json!(table)]).await).unwrap()
    }

    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap()
    }

    /// Waits until a script says true.
    pub(crate) async fn until(&self, script: &str) {
        let said = async {
            while self.run(script, Vec::new()).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, said).await;
        assert!(waited.is_ok(), "never true: {script}");
    }

    /// Clicks what loads another page, and waits for that page.
    pub(crate) async fn go_by(&self, css: &str) {
        self.run("window.before = true", Vec::new()).await;
        self.find(css).await.click().await.unwrap();
        self.until("return !window.before && document.readyState === 'complete'")
            .await;
    }

    /// What the browser complained of since this was last asked.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(BrowserLog).await.unwrap();
        let messages = log.as_array().unwrap().iter();
        messages.map(|entry| entry["message"].to_string()).collect()
    }
}

/// Chromium's own word for another size of window, and the like.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/goog/cdp/execute"))
    }

    fn method_and_body(&self, _: &url::Url) -> (axum::http::Method, Option<String>) {
        let body = json!({ "cmd": self.0, "params": self.1 });
        (axum::http::Method::POST, Some(body.to_string()))
    }
}

/// Chromium's console.
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (axum::http::Method, Option<String>) {
        let body = json!({ "type": "browser" }).to_string();
        (axum::http::Method::POST, Some(body))
    }
}
