//! The `Scoring` service: the 后台监测 points.

use std::sync::Arc;

use classpulse_proto::v1::{self, scoring_server};
use tonic::{Request, Response, Status};

use super::Context;
use crate::{api::convert, query};

/// Answers from the store.
pub(super) struct Service(pub(super) Arc<Context>);

#[tonic::async_trait]
impl scoring_server::Scoring for Service {
    async fn get_monitoring_scores(
        &self,
        request: Request<v1::GetMonitoringScoresRequest>,
    ) -> Result<Response<v1::MonitoringScores>, Status> {
        let request = request.into_inner();
        let asked = convert::asked(&request.county, request.period)?;
        let found = query::resolve(self.0.store(), asked, self.0.today()).await?;
        self.0.freshen().await?;
        let scores = query::monitoring_scores(self.0.store(), &found.county, found.period).await?;
        Ok(Response::new(v1::MonitoringScores {
            county: found.county.to_string(),
            period: Some(convert::to_period(found.period)),
            highest_average: Some(convert::fraction(scores.highest)?),
            highest_schools: scores
                .highest_schools
                .iter()
                .map(ToString::to_string)
                .collect(),
            schools: scores
                .schools
                .into_iter()
                .map(convert::school_score)
                .collect::<Result<_, _>>()?,
        }))
    }
}
