//! An RMQTT of a test's own: the configuration as it is shipped, with the test's ports, paths and secret.
//!
//! The program is tests/rmqttd, built by `deploy/test`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{free_port, wait_for};

/// What is shipped.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/broker/rmqtt");

/// Where the program is.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/rmqttd/debug/classpulse-rmqttd"
);

/// An RMQTT that ends with the test.
pub(crate) struct Rmqtt {
    child: Child,
    /// Where terminals of a test come in, in plain text.
    port: u16,
    folder: TempDir,
}

impl Drop for Rmqtt {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Puts a test's own in the place of what an operator has to change; all of it must be there.
fn changed(mut text: String, changes: &[(&str, &str)]) -> String {
    for (shipped, own) in changes {
        assert!(
            text.contains(shipped),
            "{shipped} is not in what is shipped"
        );
        text = text.replace(shipped, own);
    }
    text
}

impl Rmqtt {
    /// One that asks a service, reached over TLS, showing a secret. `tls` is where it listens itself, with the certificate
    /// in `certificates`; terminals of a test come in beside that.
    pub(crate) fn start(asks: SocketAddr, secret: &str, tls: u16, certificates: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let own = |name: &str| folder.path().join(name);
        let here = folder.path().display().to_string();
        fs::create_dir(own("plugins")).unwrap();
        for name in ["server.pem", "server.key"] {
            fs::copy(certificates.join(name), own(name)).unwrap();
        }
        for entry in fs::read_dir(Path::new(SHIPPED).join("plugins")).unwrap() {
            let path = entry.unwrap().path();
            let mut text = fs::read_to_string(&path).unwrap();
            if path.ends_with("rmqtt-auth-http.toml") {
                let asked = format!("https://{asks}/broker/");
                text = changed(
                    text,
                    &[
                        ("https://classpulse.example:50051/broker/", &asked),
                        ("REPLACE-WITH-YOUR-SECRET", secret),
                    ],
                );
            }
            fs::write(own("plugins").join(path.file_name().unwrap()), text).unwrap();
        }
        let shipped = fs::read_to_string(Path::new(SHIPPED).join("rmqtt.toml")).unwrap();
        let (before, listener) = shipped.split_once("[listener.tls.external]").unwrap();
        let port = free_port();
        let plain = listener
            .lines()
            .filter(|line| !line.starts_with("cert = ") && !line.starts_with("key = "))
            .map(|line| line.replace("0.0.0.0:8883", &format!("127.0.0.1:{port}")) + "\n");
        let text = format!(
            "{before}[listener.tls.external]{listener}\n[listener.tcp.test]{}",
            plain.collect::<String>()
        );
        let text = changed(
            text,
            &[
                ("\"/etc/rmqtt", &format!("\"{here}")),
                ("0.0.0.0:8883", &format!("127.0.0.1:{tls}")),
                ("127.0.0.1:5363", &format!("127.0.0.1:{}", free_port())),
            ],
        );
        fs::write(own("rmqtt.toml"), text).unwrap();
        let log = fs::File::create(own("log")).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-f")
            .arg(own("rmqtt.toml"))
            .current_dir(folder.path())
            .env("SSL_CERT_FILE", certificates.join("ca.pem"))
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("built by deploy/test: cargo build --locked --manifest-path tests/rmqttd/Cargo.toml --target-dir target/rmqttd");
        let started = Self {
            child,
            port,
            folder,
        };
        wait_for(port, "rmqttd");
        wait_for(tls, "rmqttd's TLS");
        started
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}
