//! Servers that tests start for themselves: private folders, free loopback ports, ended with the test.
//!
//! Installed by `deploy/test`; a server that already runs on the machine is never touched.

pub(crate) mod postgres;

use std::net::TcpListener;

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
