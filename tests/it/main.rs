//! The integration tests: one binary, one module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says where"
)]

mod access;
mod agent_enrol;
mod agent_process;
mod agent_sensing;
mod agent_windows;
mod api;
mod backpressure;
mod backup;
mod dashboard;
mod demo;
mod enrolment;
mod evaluation;
mod fake_store;
mod faults;
mod grafana;
mod install_windows;
mod layers;
mod outside;
mod packaging;
mod pipeline;
mod postgres;
mod query;
mod rubric;
mod security;
mod servers;
mod sheets;
mod simulation;
mod stock_client;
mod store_contract;
mod support;
