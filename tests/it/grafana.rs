//! The Grafana dashboard against what there is: every SQL query runs on the real schema with the grants that its README
//! gives, and every metric is one that the service says.

use std::collections::BTreeSet;

use classpulse::observe::Metrics;
use serde_json::Value;

use crate::{
    postgres::{open, session},
    servers::postgres::shared,
    support::{COUNTY, PRIMARY, register},
};

const DASHBOARD: &str = include_str!("../../deploy/grafana/classpulse.json");
const README: &str = include_str!("../../deploy/grafana/README.md");

/// What all panels and variables ask under this key.
fn asked(key: &str) -> Vec<String> {
    fn walk(value: &Value, key: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    match value.as_str() {
                        Some(text) if name == key => found.push(text.to_owned()),
                        _ => walk(value, key, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, key, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&serde_json::from_str(DASHBOARD).unwrap(), key, &mut found);
    found
}

/// The statements that the README gives an operator.
fn grants() -> String {
    let begin = README.find("```sql\n").unwrap() + "```sql\n".len();
    let end = begin + README[begin..].find("```").unwrap();
    README[begin..end].to_owned()
}

/// What Grafana puts in before it asks.
fn filled(query: &str) -> String {
    query
        .replace("$__timeFrom()", "'2026-09-01T00:00:00Z'")
        .replace("$__timeTo()", "'2026-09-30T00:00:00Z'")
        .replace("${county:sqlstring}", &format!("'{COUNTY}'"))
}

#[tokio::test]
async fn every_query_runs_with_the_grants_of_the_readme() {
    let url = shared().database();
    let store = open(&url).await;
    register(&store, &[("G-1".to_owned(), PRIMARY)]).await;
    let reader = session(&url).await;
    reader.batch_execute(&grants()).await.unwrap();
    reader.batch_execute("SET ROLE grafana").await.unwrap();
    let mut queries = asked("rawSql");
    let variables = asked("query").into_iter();
    queries.extend(variables.filter(|query| query.starts_with("SELECT")));
    assert_eq!(queries.len(), 15, "{queries:#?}");
    for query in &queries {
        let query = filled(query);
        assert!(!query.contains('$'), "{query}");
        let rows = reader.query(&query, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error:?}\n{query}"));
        if query.contains("AS __text") {
            assert_eq!(rows[0].get::<_, &str>("__value"), COUNTY);
        }
    }
    for closed in ["identity", "code", "evidence", "hardware_mark"] {
        let refused = reader.query(&format!("SELECT * FROM {closed}"), &[]).await;
        assert!(refused.is_err(), "{closed}");
    }
    store.close().await;
}

#[test]
fn every_metric_is_one_that_the_service_says() {
    let metrics = Metrics::default();
    metrics.refused("too_long");
    let said = metrics.render();
    let known: BTreeSet<&str> = said
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let mut wanted = BTreeSet::new();
    let expressions = asked("expr");
    for expression in &expressions {
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names: Vec<&str> = words
            .filter(|word| word.starts_with("classpulse_"))
            .collect();
        assert_eq!(names.len(), 1, "{expression}");
        wanted.extend(names);
    }
    let strange: Vec<_> = wanted.difference(&known).collect();
    assert_eq!(strange, [&""; 0], "not among {known:?}");
    // Labels are those that are said.
    assert!(said.contains("classpulse_refused_total{reason="));
    assert!(said.contains("classpulse_commit_seconds{quantile=\"0.99\"}"));
}
