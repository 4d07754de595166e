//! Servers that tests start for themselves: private folders, free loopback ports, ended by their process ids.
//!
//! Installed by `deploy/test`; a server that already runs on the machine is never touched.

pub(crate) mod mosquitto;
pub(crate) mod postgres;
pub(crate) mod process;

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until something listens on a port of this machine.
pub(crate) fn wait_for(port: u16, who: &str) {
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("{who} does not listen on {port}");
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, name: &str) {
    let done = std::process::Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(done.success(), "SIG{name} to {pid}");
}
