//! The agent and its network: enrolment, TLS and refusals against a real Mosquitto.
//!
//! Needs mosquitto (`deploy/test`). Each test has a broker of its own on a free port of the loopback.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that can't go on says where; a played service is a task of its own"
)]

mod enrolment;
mod mosquitto;
mod service;
mod terminal;
mod trust;
