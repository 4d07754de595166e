//! Raw values by key: the file, the environment over it, the defaults below both.
//!
//! Not responsible for what the values mean.

use std::path::PathBuf;

use super::{KEYS, Mistake};

/// One raw value, and who said it.
pub(super) struct Values(Vec<(&'static str, String)>);

#[expect(clippy::disallowed_methods, reason = "the one home of the environment")]
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn mistake(mistakes: &mut Vec<Mistake>, key: &str, problem: impl Into<String>) {
    mistakes.push(Mistake {
        key: key.to_owned(),
        problem: problem.into(),
    });
}

impl Values {
    pub(super) fn collect(
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let table = text.parse::<toml::Table>().unwrap_or_else(|error| {
            mistake(mistakes, "", error.to_string().trim_end());
            toml::Table::new()
        });
        let mut said = Vec::new();
        flatten("", &table, &mut said);
        for (key, _) in &said {
            if !KEYS.iter().any(|(known, ..)| known == key) {
                let allowed: Vec<_> = KEYS.iter().map(|(known, ..)| *known).collect();
                mistake(
                    mistakes,
                    key,
                    format!("is no known key; known are {}", allowed.join(", ")),
                );
            }
        }
        let values = KEYS.iter().map(|(key, default, _)| {
            let variable = format!("CLASSPULSE_{}", key.replace('.', "_").to_uppercase());
            let from_file = || {
                said.iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, value)| value.clone())
            };
            (
                *key,
                environment(&variable)
                    .or_else(from_file)
                    .unwrap_or_else(|| (*default).to_owned()),
            )
        });
        Self(values.collect())
    }

    pub(super) fn get(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(name, _)| *name == key)
            .map_or("", |(_, value)| value)
    }

    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        self.fitting(key, |_value| true, mistakes)
    }

    /// A value that is written well and fits; else a mistake.
    fn fitting<T: std::str::FromStr>(
        &self,
        key: &'static str,
        fits: impl FnOnce(&T) -> bool,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let value = self.get(key).parse().ok().filter(fits);
        if value.is_none() {
            self.wrong(key, mistakes);
        }
        value
    }

    pub(super) fn between(
        &self,
        key: &'static str,
        low: u64,
        high: u64,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u64> {
        self.fitting(key, |value| (low..=high).contains(value), mistakes)
    }

    /// 0, or from `low` to `high`.
    pub(super) fn zero_or(
        &self,
        key: &'static str,
        low: u32,
        high: u32,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<u32> {
        let fits = |value: &u32| *value == 0 || (low..=high).contains(value);
        self.fitting(key, fits, mistakes)
    }

    pub(super) fn wrong(&self, key: &'static str, mistakes: &mut Vec<Mistake>) {
        let meaning = KEYS
            .iter()
            .find(|(known, ..)| *known == key)
            .map_or("", |(.., meaning)| meaning);
        mistake(
            mistakes,
            key,
            format!("{:?} is not valid here: {meaning}", self.get(key)),
        );
    }

    /// The choice of this name.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let said = self.get(key);
        let chosen = choices.iter().find(|(name, _)| *name == said);
        if chosen.is_none() {
            self.wrong(key, mistakes);
        }
        chosen.map(|(_, choice)| *choice)
    }

    /// A file's path; `None` for an empty one.
    pub(super) fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.get(key))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }
}

/// `[broker] listen = …` becomes `broker.listen`.
fn flatten(prefix: &str, table: &toml::Table, found: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, found),
            toml::Value::String(text) => found.push((name, text.clone())),
            other => found.push((name, other.to_string())),
        }
    }
}
