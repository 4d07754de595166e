//! Rubrics and runs: a county's, for those who see all of it; each change is recorded with it.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Guarded, Said};
use crate::{
    domain::ids::{CountyCode, SchoolCode},
    store::{
        ContentDigest, EvaluationStore, EvidenceChange, Exclusion, FreezeRun, KeptEvidence,
        KeptExclusion, NewRun, PartInfo, Run, RunState, StoreError, StoredRubric,
    },
};

/// Answers of evidence in one entry that are told one by one.
const MOST: usize = 50;

impl Guarded {
    /// A run whose county is seen as a whole.
    async fn seen_run(&self, id: i64) -> Result<Run, StoreError> {
        let sight = self.sight()?;
        let run = self.inner.run(id).await;
        // Who sees only a part learns nothing of which runs there are.
        let county = match &run {
            Ok(run) => sight.covers(&run.county),
            Err(_) => sight.broad("evaluation run"),
        };
        county.and(run)
    }

    /// What stands for these schools and items.
    async fn standing(&self, run: i64, changes: &[EvidenceChange]) -> Result<Value, StoreError> {
        let mut told = Vec::new();
        let mut known: Option<(SchoolCode, Vec<KeptEvidence>)> = None;
        for change in changes.iter().take(MOST) {
            if known
                .as_ref()
                .is_none_or(|(school, _)| *school != change.school)
            {
                let found = self.inner.evidence(run, Some(&change.school)).await?;
                known = Some((change.school.clone(), found));
            }
            let found = known.iter().flat_map(|(_, found)| found);
            let stood = found.filter(|one| one.item == change.item);
            told.extend(stood.map(|one| json!([one.school, one.item, one.content])));
        }
        Ok(if told.is_empty() {
            Value::Null
        } else {
            json!(told)
        })
    }
}

fn told_run(run: &Run) -> Value {
    json!({
        "county": run.county, "name": run.name, "first": run.period.first, "last": run.period.last,
        "rubric": run.rubric, "supersedes": run.supersedes, "minutes_from": run.minutes_from, "by": run.by,
    })
}

fn told_exclusion(exclusion: &Exclusion) -> Value {
    json!({
        "terminal": exclusion.terminal, "first": exclusion.first, "last": exclusion.last,
        "reason": exclusion.reason, "by": exclusion.by,
    })
}

#[async_trait]
impl EvaluationStore for Guarded {
    async fn rubrics(&self) -> Result<Vec<StoredRubric>, StoreError> {
        self.inner.rubrics().await
    }

    async fn rubric(&self, digest: ContentDigest) -> Result<Option<StoredRubric>, StoreError> {
        self.inner.rubric(digest).await
    }

    async fn put_rubric(&self, text: &str, at: i64) -> Result<ContentDigest, StoreError> {
        self.sight()?.broad("rubrics")?;
        let digest = ContentDigest::of(text.as_bytes()).to_string();
        let after = json!({ "bytes": text.len() });
        self.with_entry("rubric.put", &digest, &Value::Null, &after)
            .put_rubric(text, at)
            .await
    }

    async fn create_run(&self, new: NewRun) -> Result<Run, StoreError> {
        self.sight()?.covers(&new.county)?;
        let mut after = told_run(&new.as_run(0));
        after["evidence"] = json!(new.evidence.len());
        after["exclusions"] = json!(new.exclusions.len());
        let store = self.with_numbered_entry("run.create", move |id| Said {
            target: id.to_string(),
            after: after.clone(),
            ..Said::default()
        });
        store.create_run(new).await
    }

    /// Who sees a part of a county sees which runs of it are frozen.
    async fn runs(&self, county: &CountyCode) -> Result<Vec<Run>, StoreError> {
        let sight = self.sight()?;
        sight.ranks(county)?;
        let mut runs = self.inner.runs(county).await?;
        runs.retain(|run| sight.reach.covers(county) || run.frozen().is_some());
        Ok(runs)
    }

    async fn run(&self, id: i64) -> Result<Run, StoreError> {
        let reach = self.sight()?.reach;
        if let Ok(run) = self.inner.run(id).await
            && run.frozen().is_some()
            && reach.ranks(&run.county)
        {
            return Ok(run);
        }
        self.seen_run(id).await
    }

    async fn discard_run(&self, id: i64) -> Result<(), StoreError> {
        let run = self.seen_run(id).await?;
        let (target, before) = (id.to_string(), told_run(&run));
        self.with_entry("run.discard", &target, &before, &Value::Null)
            .discard_run(id)
            .await
    }

    async fn evidence(
        &self,
        id: i64,
        school: Option<&SchoolCode>,
    ) -> Result<Vec<KeptEvidence>, StoreError> {
        self.seen_run(id).await?;
        self.inner.evidence(id, school).await
    }

    async fn put_evidence(
        &self,
        id: i64,
        expected_revision: Option<i64>,
        changes: Vec<EvidenceChange>,
    ) -> Result<i64, StoreError> {
        self.seen_run(id).await?;
        let before = self.standing(id, &changes).await?;
        let told = changes.iter().take(MOST);
        let told = told.map(|one| json!([one.school, one.item, one.content]));
        let after = json!({ "entries": changes.len(), "told": told.collect::<Vec<_>>() });
        self.with_entry("evidence.put", &id.to_string(), &before, &after)
            .put_evidence(id, expected_revision, changes)
            .await
    }

    async fn exclusions(&self, id: i64) -> Result<Vec<KeptExclusion>, StoreError> {
        self.seen_run(id).await?;
        self.inner.exclusions(id).await
    }

    async fn add_exclusion(&self, id: i64, exclusion: Exclusion) -> Result<i64, StoreError> {
        self.seen_run(id).await?;
        let after = told_exclusion(&exclusion);
        let store = self.with_numbered_entry("exclusion.add", move |number| Said {
            target: format!("{id}/{number}"),
            after: after.clone(),
            ..Said::default()
        });
        store.add_exclusion(id, exclusion).await
    }

    async fn remove_exclusion(&self, id: i64, exclusion: i64) -> Result<(), StoreError> {
        self.seen_run(id).await?;
        let known = self.inner.exclusions(id).await?;
        let known = known.iter().find(|one| one.id == exclusion);
        let before = known.map_or(Value::Null, |one| told_exclusion(&one.exclusion));
        let target = format!("{id}/{exclusion}");
        self.with_entry("exclusion.remove", &target, &before, &Value::Null)
            .remove_exclusion(id, exclusion)
            .await
    }

    async fn freeze_run(&self, freeze: FreezeRun) -> Result<(), StoreError> {
        let id = freeze.run;
        let run = self.seen_run(id).await?;
        let before = json!({ "state": "draft", "revision": run.revision });
        let after = json!(RunState::Frozen(freeze.freeze.clone()));
        self.with_entry("run.freeze", &id.to_string(), &before, &after)
            .freeze_run(freeze)
            .await
    }

    async fn run_parts(&self, id: i64) -> Result<Vec<PartInfo>, StoreError> {
        self.seen_run(id).await?;
        self.inner.run_parts(id).await
    }

    async fn run_part(&self, id: i64, key: &str) -> Result<String, StoreError> {
        self.seen_run(id).await?;
        self.inner.run_part(id, key).await
    }
}
