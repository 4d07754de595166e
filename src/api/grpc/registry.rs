//! The `Registry` service: counties, schools, terminals; approvals and imports; enrolment codes and incidents.

use std::sync::Arc;

use classpulse_proto::v1::{self, registry_server};
use tonic::{Request, Response, Status};

use super::Context;
use crate::{
    api::{
        convert, error,
        page::{self, Question},
    },
    domain::ids::SchoolCode,
    enrolment, query, registry,
    store::TerminalFilter,
};

/// Most approvals, or keys to change, of one request.
const MAX_APPROVALS: usize = 1_000;

/// Largest file of an import.
const MAX_FILE: usize = 8 * 1024 * 1024;

/// Answers from the store.
pub(super) struct Service(pub(super) Arc<Context>);

#[tonic::async_trait]
impl registry_server::Registry for Service {
    async fn list_counties(
        &self,
        _request: Request<v1::ListCountiesRequest>,
    ) -> Result<Response<v1::ListCountiesResponse>, Status> {
        let counties = self.0.store().counties().await?.into_iter();
        let counties = counties.map(|county| v1::County {
            code: county.code.to_string(),
            name: county.name,
        });
        Ok(Response::new(v1::ListCountiesResponse {
            counties: counties.collect(),
        }))
    }

    async fn list_schools(
        &self,
        request: Request<v1::ListSchoolsRequest>,
    ) -> Result<Response<v1::ListSchoolsResponse>, Status> {
        let given = convert::optional("county", &request.get_ref().county)?;
        let county = query::resolve_county(self.0.store(), given).await?;
        let schools = self.0.store().schools(&county).await?;
        Ok(Response::new(v1::ListSchoolsResponse {
            schools: schools.into_iter().map(convert::school).collect(),
        }))
    }

    async fn list_terminals(
        &self,
        request: Request<v1::ListTerminalsRequest>,
    ) -> Result<Response<v1::ListTerminalsResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let school: Option<SchoolCode> = convert::optional("school_code", &request.school_code)?;
        let pending = if request.pending_only {
            "pending"
        } else {
            "all"
        };
        let question = Question::new(&["ListTerminals", &request.school_code, pending]);
        let key = question.key(&request.page_token)?;
        let after = key
            .map(|key| key.parse().map_err(|_other| page::unreadable()))
            .transpose()?;
        if let Some(school) = &school {
            query::school(self.0.store(), school).await?;
        }
        // One more than the page tells whether there is a next one.
        let filter = TerminalFilter {
            school,
            pending_only: request.pending_only,
            after,
            limit: Some(size + 1),
        };
        let mut found = self.0.store().terminals(&filter).await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more);
        let next_page_token = last
            .map(|last| question.token(last.id.as_str()))
            .unwrap_or_default();
        let today = self.0.today();
        let terminals = found
            .iter()
            .map(|terminal| convert::terminal(terminal, today))
            .collect();
        Ok(Response::new(v1::ListTerminalsResponse {
            terminals,
            next_page_token,
        }))
    }

    async fn approve_terminals(
        &self,
        request: Request<v1::ApproveTerminalsRequest>,
    ) -> Result<Response<v1::ApproveTerminalsResponse>, Status> {
        let given = request.into_inner().approvals;
        if !(1..=MAX_APPROVALS).contains(&given.len()) {
            let problem = format!(
                "{} entries, but 1 to {MAX_APPROVALS} are allowed",
                given.len()
            );
            return Err(error::field("approvals", problem));
        }
        let given = given
            .into_iter()
            .enumerate()
            .map(|(index, one)| convert::approval(index, one));
        let approvals = given.collect::<Result<Vec<_>, _>>()?;
        let approved = registry::approve(self.0.store(), approvals, &self.0.zone).await?;
        Ok(Response::new(v1::ApproveTerminalsResponse { approved }))
    }

    async fn import(
        &self,
        request: Request<v1::ImportRequest>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        let request = request.into_inner();
        if request.content.len() > MAX_FILE {
            let problem = format!(
                "{} bytes, but a file has at most {MAX_FILE}",
                request.content.len()
            );
            return Err(error::field("content", problem));
        }
        let format = convert::format(request.format)?;
        let (store, name) = (self.0.store(), request.file_name.as_str());
        let report =
            registry::import(store, &request.content, format, name, request.dry_run).await?;
        Ok(Response::new(convert::import(report)))
    }

    async fn create_enrolment_code(
        &self,
        request: Request<v1::CreateEnrolmentCodeRequest>,
    ) -> Result<Response<v1::CreateEnrolmentCodeResponse>, Status> {
        let terms = convert::terms(&request.into_inner())?;
        query::school(self.0.store(), &terms.school).await?;
        let now = (self.0.clock)();
        let (code, listed) = enrolment::create_code(self.0.store(), terms, now).await?;
        Ok(Response::new(v1::CreateEnrolmentCodeResponse {
            code,
            listed: Some(convert::enrolment_code(&listed)),
        }))
    }

    async fn list_enrolment_codes(
        &self,
        request: Request<v1::ListEnrolmentCodesRequest>,
    ) -> Result<Response<v1::ListEnrolmentCodesResponse>, Status> {
        let school: Option<SchoolCode> =
            convert::optional("school_code", &request.get_ref().school_code)?;
        if let Some(school) = &school {
            query::school(self.0.store(), school).await?;
        }
        let codes = self.0.store().codes(school.as_ref()).await?;
        Ok(Response::new(v1::ListEnrolmentCodesResponse {
            codes: codes.iter().map(convert::enrolment_code).collect(),
        }))
    }

    async fn revoke_enrolment_code(
        &self,
        request: Request<v1::RevokeEnrolmentCodeRequest>,
    ) -> Result<Response<v1::RevokeEnrolmentCodeResponse>, Status> {
        self.0.store().revoke_code(request.get_ref().id).await?;
        Ok(Response::new(v1::RevokeEnrolmentCodeResponse {}))
    }

    async fn list_terminal_keys(
        &self,
        request: Request<v1::ListTerminalKeysRequest>,
    ) -> Result<Response<v1::ListTerminalKeysResponse>, Status> {
        let school: Option<SchoolCode> =
            convert::optional("school_code", &request.get_ref().school_code)?;
        if let Some(school) = &school {
            query::school(self.0.store(), school).await?;
        }
        let today = self.0.today();
        let keys = enrolment::list_keys(self.0.store(), school.as_ref(), today).await?;
        Ok(Response::new(v1::ListTerminalKeysResponse {
            keys: keys.iter().map(convert::terminal_key).collect(),
        }))
    }

    async fn change_terminal_keys(
        &self,
        request: Request<v1::ChangeTerminalKeysRequest>,
    ) -> Result<Response<v1::ChangeTerminalKeysResponse>, Status> {
        let request = request.into_inner();
        let change = convert::key_change(request.change)?;
        let given = request.terminals;
        if !(1..=MAX_APPROVALS).contains(&given.len()) {
            let problem = format!(
                "{} entries, but 1 to {MAX_APPROVALS} are allowed",
                given.len()
            );
            return Err(error::field("terminals", problem));
        }
        let terminals = given
            .iter()
            .enumerate()
            .map(|(index, id)| convert::required(&format!("terminals[{index}]"), id));
        let terminals = terminals.collect::<Result<Vec<_>, _>>()?;
        let at = (self.0.clock)().as_second();
        let changed = self.0.store().change_keys(&terminals, change, at).await?;
        Ok(Response::new(v1::ChangeTerminalKeysResponse { changed }))
    }

    async fn list_incidents(
        &self,
        request: Request<v1::ListIncidentsRequest>,
    ) -> Result<Response<v1::ListIncidentsResponse>, Status> {
        let filter = convert::incident_filter(request.get_ref())?;
        let incidents = self.0.store().incidents(&filter).await?;
        let incidents = incidents
            .iter()
            .map(|incident| convert::incident(incident, &self.0.zone));
        Ok(Response::new(v1::ListIncidentsResponse {
            incidents: incidents.collect(),
        }))
    }
}
