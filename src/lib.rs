//! Classpulse (课脉): how long each school really uses its classroom terminals, and the points this gives.
//!
//! # Layout
//! Imports go one way: `proto ← domain ← store ← {enrolment, evaluation, ingest, query, registry} ← sheets ← {api, web ← {dashboard, login}}
//! ← app ← cli ← main`; `ingest` and `api` never meet. `tests/it/layers.rs` holds this order.
//!
//! - [`domain`]: minutes, sessions, calendar, averages, points; pure and exact.
//! - [`store`]: everything that is kept, in the domain's words, and the backends that keep it.
//! - [`ingest`]: reports in, minutes committed, acknowledgements out; [`broker`] carries them.
//! - [`enrolment`]: codes, keys, and how a machine becomes a terminal.
//! - [`query`], [`registry`]: questions about usage; changes of who is who.
//! - [`evaluation`]: runs that are frozen, verified, compared and explained.
//! - [`tables`]: files of rows as bureaus have them. [`sheets`]: evidence and results as workbooks, both ways.
//! - [`backup`]: everything in a file, and back.
//! - [`rollup`]: keeps school-days fresh. [`retention`]: lets old minutes go. [`api`]: gRPC and HTTP.
//! - [`access`]: who somebody is and what they did; [`gate`]: who a request is from; [`login`]: pages to get in.
//! - [`web`]: what every page is made of. [`dashboard`]: the same figures as pages in Chinese and as JSON.
//! - [`privacy`]: what is collected and kept, in words for schools.
//! - [`app`]: the composition root. [`cli`], [`demo`]: the ways to run it.
//! - [`simulate`]: the whole in virtual time, with faults and a truth to compare with.
//! - [`clock`], [`config`], [`observe`], [`tasks`], [`tls`]: the only homes of time, environment, logging, spawning and trust.

pub mod access;
pub mod api;
pub mod app;
pub mod backup;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod domain;
pub mod enrolment;
pub mod evaluation;
pub mod gate;
pub mod ingest;
pub mod login;
pub mod observe;
pub mod privacy;
pub mod query;
pub mod registry;
pub mod retention;
pub mod rollup;
pub mod sheets;
pub mod simulate;
pub mod store;
pub mod tables;
pub mod tasks;
pub mod tls;
pub mod web;
