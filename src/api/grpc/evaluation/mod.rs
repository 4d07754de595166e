//! The `Evaluation` service: rubrics, evidence, runs and their results.
//!
//! Transport only: what a run gives is `evaluation`'s business.

use std::sync::Arc;

use classpulse_proto::v1::{self, evaluation_server};
use futures::stream;
use tonic::{Request, Response, Status};

use super::{Answers, Context};
use crate::{
    access,
    api::{convert, error},
    domain::{
        ids::SchoolCode,
        rubric::{self, Rubric},
    },
    evaluation::{self, Entry, EvaluationError, Freezing, NewEvaluation},
    query::{self, Asked},
    sheets::run,
    store::{ContentDigest, Exclusion},
};

mod answer;
mod file;
mod question;

/// Most entries of evidence in one request.
const MAX_ENTRIES: usize = 10_000;

/// Answers from the store.
pub(super) struct Service(pub(super) Arc<Context>);

/// A stream of what is known already.
fn all<T: Send + 'static>(found: Vec<T>) -> Response<Answers<T>> {
    Response::new(Box::pin(stream::iter(found.into_iter().map(Ok))))
}

impl Service {
    fn now(&self) -> i64 {
        (self.0.clock)().as_second()
    }

    async fn rubric_text(&self, digest: Option<ContentDigest>) -> Result<String, Status> {
        let built_in = ContentDigest::of(rubric::DEFAULT.as_bytes());
        let Some(digest) = digest.filter(|digest| *digest != built_in) else {
            return Ok(rubric::DEFAULT.to_owned());
        };
        let found = self.0.store().rubric(digest).await?;
        let found =
            found.ok_or_else(|| Status::not_found(format!("rubric {digest} is not kept")))?;
        Ok(found.text)
    }

    async fn loaded(&self, run: i64) -> Result<evaluation::Loaded, Status> {
        Ok(evaluation::load(self.0.store(), run).await?)
    }

    /// A run from which one school's part is given on: to who sees only a part of the county where the run is frozen and
    /// the school is theirs.
    async fn loaded_for(
        &self,
        run: i64,
        school: Option<&SchoolCode>,
    ) -> Result<evaluation::Loaded, Status> {
        self.own(run, school).await?;
        access::acting_widely(self.loaded(run)).await
    }

    async fn own(&self, run: i64, school: Option<&SchoolCode>) -> Result<(), Status> {
        let store = self.0.store();
        let run = store.run(run).await?;
        let who = access::current();
        if who.is_some_and(|who| who.reach().covers(&run.county)) {
            return Ok(());
        }
        let school =
            school.ok_or_else(|| Status::permission_denied("ask for one school, your own"))?;
        // Out of reach where it is another's.
        let school = store.school(school).await?;
        match school.filter(|school| school.county == run.county) {
            Some(_) => Ok(()),
            None => Err(Status::permission_denied(
                "the school is not of the run's county",
            )),
        }
    }
}

#[tonic::async_trait]
impl evaluation_server::Evaluation for Service {
    type ListEvidenceStream = Answers<v1::Evidence>;
    type GetEvidenceWorkbookStream = Answers<v1::FileChunk>;
    type ListScoreSheetsStream = Answers<v1::SchoolSheet>;
    type ExportRunStream = Answers<v1::FileChunk>;

    async fn list_rubrics(
        &self,
        _request: Request<v1::ListRubricsRequest>,
    ) -> Result<Response<v1::ListRubricsResponse>, Status> {
        let built_in = ContentDigest::of(rubric::DEFAULT.as_bytes());
        let mut rubrics = vec![answer::kept_rubric(rubric::DEFAULT)];
        for stored in self.0.store().rubrics().await? {
            if stored.digest != built_in {
                rubrics.push(answer::kept_rubric(&stored.text));
            }
        }
        Ok(Response::new(v1::ListRubricsResponse { rubrics }))
    }

    async fn get_rubric(
        &self,
        request: Request<v1::GetRubricRequest>,
    ) -> Result<Response<v1::Rubric>, Status> {
        let digest = question::digest("digest", &request.get_ref().digest)?;
        let text = self.rubric_text(digest).await?;
        Ok(Response::new(answer::rubric(text)?))
    }

    async fn put_rubric(
        &self,
        request: Request<v1::PutRubricRequest>,
    ) -> Result<Response<v1::PutRubricResponse>, Status> {
        let request = request.into_inner();
        if let Err(faults) = Rubric::parse(&request.text) {
            let faults = faults.0.into_iter().map(answer::rubric_fault).collect();
            return Ok(Response::new(v1::PutRubricResponse {
                rubric: None,
                faults,
            }));
        }
        if !request.dry_run {
            self.0.store().put_rubric(&request.text, self.now()).await?;
        }
        Ok(Response::new(v1::PutRubricResponse {
            rubric: Some(answer::rubric_summary(&request.text)?),
            faults: Vec::new(),
        }))
    }

    async fn create_run(
        &self,
        request: Request<v1::CreateRunRequest>,
    ) -> Result<Response<v1::CreateRunResponse>, Status> {
        let request = request.into_inner();
        let Asked { county, period } = convert::asked(&request.county, request.period)?;
        let period =
            period.ok_or_else(|| error::field("period", "first and last day are needed"))?;
        let new = NewEvaluation {
            key: request.key,
            county: query::resolve_county(self.0.store(), county).await?,
            name: request.name,
            period,
            rubric: question::digest("rubric", &request.rubric)?,
            supersedes: question::run(request.supersedes),
            minutes_from: question::run(request.minutes_from),
            by: request.by,
            at: self.now(),
        };
        let created = evaluation::create(self.0.store(), new).await?;
        Ok(Response::new(v1::CreateRunResponse {
            run: Some(answer::run(created.run)),
            left_out: created
                .left_out
                .into_iter()
                .map(answer::evidence_fault)
                .collect(),
        }))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let Asked { county, .. } = convert::asked(&request.get_ref().county, None)?;
        let county = query::resolve_county(self.0.store(), county).await?;
        let runs = self.0.store().runs(&county).await?;
        Ok(Response::new(v1::ListRunsResponse {
            runs: runs.into_iter().map(answer::run).collect(),
        }))
    }

    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let run = self.0.store().run(request.get_ref().run).await?;
        Ok(Response::new(answer::run(run)))
    }

    async fn discard_run(
        &self,
        request: Request<v1::DiscardRunRequest>,
    ) -> Result<Response<v1::DiscardRunResponse>, Status> {
        self.0.store().discard_run(request.get_ref().run).await?;
        Ok(Response::new(v1::DiscardRunResponse {}))
    }

    async fn list_evidence(
        &self,
        request: Request<v1::ListEvidenceRequest>,
    ) -> Result<Response<Self::ListEvidenceStream>, Status> {
        let request = request.into_inner();
        let school: Option<SchoolCode> = convert::optional("school_code", &request.school_code)?;
        let store = self.0.store();
        let found = evaluation::list_evidence(store, request.run, school.as_ref()).await?;
        Ok(all(found.into_iter().map(answer::known).collect()))
    }

    async fn put_evidence(
        &self,
        request: Request<v1::PutEvidenceRequest>,
    ) -> Result<Response<v1::PutEvidenceResponse>, Status> {
        let request = request.into_inner();
        if !(1..=MAX_ENTRIES).contains(&request.evidence.len()) {
            let problem = format!(
                "{} entries, but 1 to {MAX_ENTRIES} are allowed",
                request.evidence.len()
            );
            return Err(error::field("evidence", problem));
        }
        let now = self.now();
        let given = request.evidence.into_iter().enumerate();
        let entries = given.map(|(index, one)| question::entry(index, one, now));
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        let expected = request.expected_revision;
        let answer = match evaluation::enter(self.0.store(), request.run, expected, entries).await {
            Ok(entered) => v1::PutEvidenceResponse {
                changed: convert::narrow("entries", entered.changed)?,
                faults: Vec::new(),
                revision: entered.revision,
            },
            Err(EvaluationError::Unfit(unfit)) => v1::PutEvidenceResponse {
                changed: 0,
                faults: unfit.into_iter().map(answer::evidence_fault).collect(),
                revision: self.0.store().run(request.run).await?.revision,
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Response::new(answer))
    }

    async fn get_evidence_workbook(
        &self,
        request: Request<v1::GetEvidenceWorkbookRequest>,
    ) -> Result<Response<Self::GetEvidenceWorkbookStream>, Status> {
        let request = request.into_inner();
        let book = file::workbook(self.0.store(), request.run, request.empty).await?;
        self.0
            .exported(&format!("run {} evidence", request.run))
            .await?;
        Ok(all(file::chunks("考核材料.xlsx", &book)))
    }

    async fn import_evidence_workbook(
        &self,
        request: Request<v1::ImportEvidenceWorkbookRequest>,
    ) -> Result<Response<v1::ImportEvidenceWorkbookResponse>, Status> {
        let answer = file::import(self.0.store(), request.into_inner(), self.now()).await?;
        Ok(Response::new(answer))
    }

    async fn list_exclusions(
        &self,
        request: Request<v1::ListExclusionsRequest>,
    ) -> Result<Response<v1::ListExclusionsResponse>, Status> {
        let found = evaluation::list_exclusions(self.0.store(), request.get_ref().run).await?;
        Ok(Response::new(v1::ListExclusionsResponse {
            exclusions: found.into_iter().map(answer::exclusion).collect(),
        }))
    }

    async fn add_exclusion(
        &self,
        request: Request<v1::AddExclusionRequest>,
    ) -> Result<Response<v1::Exclusion>, Status> {
        let request = request.into_inner();
        let given = convert::period(request.period)?;
        let period =
            given.ok_or_else(|| error::field("period", "first and last day are needed"))?;
        let exclusion = Exclusion {
            terminal: convert::required("terminal", &request.terminal)?,
            first: period.first,
            last: period.last,
            reason: request.reason,
            by: request.by,
            at: self.now(),
        };
        let found = evaluation::exclude(self.0.store(), request.run, exclusion).await?;
        Ok(Response::new(answer::exclusion(found)))
    }

    async fn remove_exclusion(
        &self,
        request: Request<v1::RemoveExclusionRequest>,
    ) -> Result<Response<v1::RemoveExclusionResponse>, Status> {
        let request = request.get_ref();
        self.0
            .store()
            .remove_exclusion(request.run, request.id)
            .await?;
        Ok(Response::new(v1::RemoveExclusionResponse {}))
    }

    async fn list_score_sheets(
        &self,
        request: Request<v1::ListScoreSheetsRequest>,
    ) -> Result<Response<Self::ListScoreSheetsStream>, Status> {
        let request = request.into_inner();
        let school: Option<SchoolCode> = convert::optional("school_code", &request.school_code)?;
        let loaded = self.loaded_for(request.run, school.as_ref()).await?;
        if let Some(school) = &school {
            loaded.inputs.school(school)?;
        }
        let mut sheets = answer::sheets(&run::results(&loaded, &self.0.zone));
        if let Some(school) = school {
            sheets.retain(|sheet| {
                let known = sheet.school.as_ref();
                known.is_some_and(|known| known.code == school.as_str())
            });
        }
        Ok(all(sheets))
    }

    async fn get_run_monitoring_scores(
        &self,
        request: Request<v1::GetRunMonitoringScoresRequest>,
    ) -> Result<Response<v1::MonitoringScores>, Status> {
        let loaded = self.loaded(request.get_ref().run).await?;
        Ok(Response::new(answer::monitoring(&loaded)?))
    }

    async fn inspect_run(
        &self,
        request: Request<v1::InspectRunRequest>,
    ) -> Result<Response<v1::RunInspection>, Status> {
        let loaded = self.loaded(request.get_ref().run).await?;
        Ok(Response::new(answer::inspection(&loaded)?))
    }

    async fn freeze_run(
        &self,
        request: Request<v1::FreezeRunRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let request = request.into_inner();
        let freezing = Freezing {
            revision: request.expected_revision,
            figures: request.expected_figures,
            by: request.by,
            at: self.now(),
            today: self.0.today(),
            note: request.note,
            accept_missing: request.accept_missing,
        };
        let run = evaluation::freeze(self.0.store(), request.run, freezing).await?;
        Ok(Response::new(answer::run(run)))
    }

    async fn verify_run(
        &self,
        request: Request<v1::VerifyRunRequest>,
    ) -> Result<Response<v1::Verification>, Status> {
        let found = evaluation::verify(self.0.store(), request.get_ref().run).await?;
        Ok(Response::new(answer::verification(found)?))
    }

    async fn compare_runs(
        &self,
        request: Request<v1::CompareRunsRequest>,
    ) -> Result<Response<v1::Comparison>, Status> {
        let request = request.get_ref();
        let found = evaluation::compare(self.0.store(), request.before, request.after).await?;
        Ok(Response::new(answer::comparison(found)))
    }

    async fn what_if(
        &self,
        request: Request<v1::WhatIfRequest>,
    ) -> Result<Response<v1::WhatIfResponse>, Status> {
        let request = request.into_inner();
        let period = self.0.store().run(request.run).await?.period;
        let run = request.run;
        let changes = question::changes(request, period)?;
        let found = evaluation::what_if(self.0.store(), run, changes).await?;
        Ok(Response::new(answer::what_if(found)))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let request = request.into_inner();
        let school: SchoolCode = convert::required("school_code", &request.school_code)?;
        self.own(request.run, Some(&school)).await?;
        let explain = evaluation::explain(self.0.store(), request.run, &school, &request.item);
        let found = access::acting_widely(explain).await?;
        Ok(Response::new(answer::explanation(found, &request.item)?))
    }

    async fn export_run(
        &self,
        request: Request<v1::ExportRunRequest>,
    ) -> Result<Response<Self::ExportRunStream>, Status> {
        let request = request.into_inner();
        let loaded = self.loaded(request.run).await?;
        let (name, content) = file::export(loaded, &request, self.0.zone.clone()).await?;
        self.0
            .exported(&format!("run {} {name}", request.run))
            .await?;
        Ok(all(file::chunks(&name, &content)))
    }
}
