//! The agent and its network: enrolment, TLS and refusals against a real Mosquitto.
//!
//! Needs mosquitto (`deploy/test`). Each test has a broker of its own on a free port of the loopback.

mod enrolment;
mod mosquitto;
mod service;
mod terminal;
mod trust;
