//! Servers that tests start for themselves: private folders, free loopback ports, ended by their process ids.
//!
//! Installed by `deploy/test`; a server that already runs on the machine is never touched.

pub(crate) mod mosquitto;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod rmqtt;

use std::{
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A port of the loopback that nobody has, and that this process gives out once. Not of those that the system takes for
/// connections (32768 and up): one of these could be gone before a server binds it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    // Test programs that run beside one another begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    let mut ports = std::iter::repeat_with(|| {
        let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + next % COUNT).unwrap()
    });
    ports
        .by_ref()
        .take(COUNT as usize)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
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
