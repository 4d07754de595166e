//! What is wrong with this terminal, one check after the other, and the mend in Chinese and English.
//!
//! Changes nothing, and never takes a running agent's connection from it: what only the agent can know, it is asked.
//!
//! # Layout
//! - `machine`: files, identity, clock, sensing, service. `server`: the way to the server, step by step.
//! - `texts`: what checks are called, and the mends.

mod machine;
mod server;
mod texts;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{config::Config, status};

pub use texts::{Check, Mend};

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well, and what was seen.
    Well(String),
    /// Wrong: what was seen, and what to do.
    Wrong(String, Mend),
    /// Worth knowing, and no failure: what was seen, and what to do where it matters.
    Remark(String, Mend),
    /// It can't be told, or does not matter here, and why.
    Untold(String),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub check: Check,
    /// How it went.
    pub outcome: Outcome,
}

impl Finding {
    fn new(check: Check, outcome: Outcome) -> Self {
        Self { check, outcome }
    }
}

/// Looks at everything. Takes up to half a minute where a server does not answer.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let agent = status::ask(config)["agent"].take();
    let mut findings = vec![Finding::new(
        Check::Configuration,
        Outcome::Well(format!("{}:{}", config.host, config.port)),
    )];
    findings.extend(machine::files(config));
    findings.extend(server::way(config, &agent).await);
    findings.extend(machine::sensing(config, &agent));
    findings.push(machine::service(&agent));
    findings
}

/// The one finding where there is no configuration to go by.
#[must_use]
pub fn misconfigured(problem: String) -> Vec<Finding> {
    let outcome = Outcome::Wrong(problem, Mend::Configuration);
    vec![Finding::new(Check::Configuration, outcome)]
}

/// Whether nothing is wrong.
#[must_use]
pub fn all_well(findings: &[Finding]) -> bool {
    let wrong = |finding: &Finding| matches!(finding.outcome, Outcome::Wrong(..));
    !findings.iter().any(wrong)
}

/// For programs.
#[must_use]
pub fn json(findings: &[Finding]) -> Value {
    let checks: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let (outcome, seen, mend) = match &finding.outcome {
                Outcome::Well(seen) => ("well", seen, None),
                Outcome::Wrong(seen, mend) => ("wrong", seen, Some(*mend)),
                Outcome::Remark(seen, mend) => ("remark", seen, Some(*mend)),
                Outcome::Untold(seen) => ("untold", seen, None),
            };
            json!({
                "check": finding.check.key(), "outcome": outcome, "seen": seen,
                "mend_zh": mend.map(|mend| mend.texts().0), "mend_en": mend.map(|mend| mend.texts().1),
            })
        })
        .collect();
    json!({ "well": all_well(findings), "checks": checks })
}

/// For people: a line for each check, and under it the mend.
#[must_use]
pub fn words(findings: &[Finding]) -> String {
    let mut page = String::new();
    for finding in findings {
        let (zh, en) = finding.check.names();
        let (mark, seen) = match &finding.outcome {
            Outcome::Well(seen) => ('✓', seen),
            Outcome::Wrong(seen, _) => ('✗', seen),
            Outcome::Remark(seen, _) => ('!', seen),
            Outcome::Untold(seen) => ('–', seen),
        };
        // A string takes everything.
        let _ = writeln!(page, "{mark} {zh} {en}: {seen}");
        if let Outcome::Wrong(_, mend) | Outcome::Remark(_, mend) = &finding.outcome {
            let (zh, en) = mend.texts();
            let _ = writeln!(page, "    → {zh}\n    → {en}");
        }
    }
    page
}

#[cfg(test)]
mod tests;
