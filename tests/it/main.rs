//! The integration tests: one binary, one module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says where"
)]

mod agent_process;
mod api;
mod demo;
mod fake_store;
mod layers;
mod outside;
mod pipeline;
mod query;
mod simulation;
mod stock_client;
mod store_contract;
mod support;
