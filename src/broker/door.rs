//! The door: who is let in and by which key, what each may say and hear, and who is sent off when a key no longer holds.
//!
//! A terminal's client id and user name are its id, its password is its key; it publishes only its own `report` and
//! `state`, and reads only its own `ack`. A machine that is no terminal yet has a passing name for both, and may only ask;
//! a terminal that renews its key asks likewise, under its own user name. Not responsible for keys (`enrolment`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use classpulse_proto::topic::{self, Channel};
use prost::Message as _;
use rmqtt::{
    codec::v5::SubscribeAckReason,
    session::Session,
    types::{AuthResult, ConnectInfo, Id, LastWill, Subscribe, SubscribeAclResult},
};
use tokio::time::Instant;
use tracing::info;

use super::{
    Gate, PATIENCE, passing,
    rules::{MAX_PASSWORD, Role, may_subscribe, role},
};
use crate::{
    enrolment::{Admission, Pass},
    ingest::decode::decode,
    tasks,
};

/// How often it is asked which keys changed: a revoked one ends its terminal's connection within a few seconds.
const WATCH: Duration = Duration::from_secs(2);

/// After this a login that led to no connection is forgotten.
const LOGIN: Duration = Duration::from_mins(2);

/// Terminals that are connected, and by what.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside(Arc<Mutex<HashMap<Id, (Pass, Instant)>>>);

impl Inside {
    /// Every change is one step, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, (Pass, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, id: Id, pass: Pass) {
        self.lock().insert(id, (pass, Instant::now()));
    }

    pub(super) fn leave(&self, id: &Id) {
        self.lock().remove(id);
    }

    fn pass(&self, id: &Id) -> Option<Pass> {
        self.lock().get(id).map(|(pass, _)| *pass)
    }

    fn all(&self) -> Vec<(Id, Pass, Instant)> {
        let inside = self.lock();
        let all = inside.iter();
        all.map(|(id, (pass, since))| (id.clone(), *pass, *since))
            .collect()
    }
}

impl Gate {
    /// Whether a client may come in, and as what.
    pub(super) async fn log_in(&self, info: &ConnectInfo) -> AuthResult {
        let name: &str = info.client_id();
        let user: &str = info.username().map_or("", |user| user);
        let role = role(name, user);
        let will_agrees = info.last_will().is_none_or(|will| {
            let topic: &str = match &will {
                LastWill::V3(will) => &will.topic,
                LastWill::V5(will) => &will.topic,
            };
            topic::parse(topic) == Some((name, Channel::State)) && role == Some(Role::Terminal)
        });
        let renewing = match role.filter(|_| will_agrees) {
            None => {
                let why = "client id, user name and will must name one terminal";
                return self.turn_away(info, why, AuthResult::NotAuthorized).await;
            }
            Some(Role::Machine) => return self.let_pass(info).await,
            Some(role) => role == Role::Renewing,
        };
        let password = info.password().map(AsRef::as_ref);
        let bad = AuthResult::BadUsernameOrPassword;
        match self.enrolment.admit(user, password).await {
            // Without a key there is none to renew.
            Admission::Allowed(pass) if renewing && pass.has_key() => self.let_pass(info).await,
            Admission::Allowed(_) if renewing => {
                let why = "it has no key to renew";
                self.turn_away(info, why, AuthResult::NotAuthorized).await
            }
            Admission::Allowed(pass) => {
                self.inside.enter(info.id().clone(), pass);
                if self.enrolment.holds(name, pass) {
                    return AuthResult::Allow(false, None);
                }
                self.inside.leave(info.id());
                self.turn_away(info, "its key has just changed", bad).await
            }
            Admission::Refused(why) => self.turn_away(info, why, bad).await,
            Admission::Unknown => {
                let why = "the store does not tell keys";
                self.turn_away(info, why, AuthResult::NotAuthorized).await
            }
        }
    }

    /// Refuses a login; the answer takes longer for those that try on.
    async fn turn_away(&self, info: &ConnectInfo, why: &str, answer: AuthResult) -> AuthResult {
        self.metrics.broker_refusal();
        let (name, from): (&str, _) = (info.client_id(), info.id().remote_addr);
        let verdict = self.attempts.refused(name, from, Instant::now());
        if verdict.log {
            info!(client = name, ?from, why, "login refused");
        }
        verdict.wait().await;
        answer
    }

    /// Whatever it shows as its code is judged with its request; the broker only bounds how many there are, and for how
    /// long.
    async fn let_pass(&self, info: &ConnectInfo) -> AuthResult {
        let id = info.id().clone();
        let password = info.password().cloned().unwrap_or_default();
        let fits = (1..=MAX_PASSWORD).contains(&password.len());
        let may = fits && self.attempts.may_pass(id.remote_addr, Instant::now());
        if !may || !self.passing.admit(&id, password) {
            let why = "a machine shows no code, or too many ask at once";
            return self.turn_away(info, why, AuthResult::NotAuthorized).await;
        }
        let gate = self.clone();
        drop(tasks::start("passing client", async move {
            tokio::time::sleep(passing::STAY).await;
            gate.passing.forget(&id);
            gate.send_off(id).await;
        }));
        AuthResult::Allow(false, None)
    }

    /// Ends a connection, if it is still the one that its client has: another of the same name came by itself.
    async fn send_off(&self, id: Id) {
        let mut entry = self.context.extends.shared().await.entry(id);
        if entry.id_same() == Some(true) && entry.is_connected().await {
            drop(entry.kick(true, true, true).await);
        }
    }

    /// Whether a terminal that speaks still may.
    pub(super) fn may_speak(&self, id: &Id) -> bool {
        self.inside
            .pass(id)
            .is_some_and(|pass| self.enrolment.holds(&id.client_id, pass))
    }

    /// Sends off terminals whose key was revoked or replaced, for as long as the broker runs.
    pub(super) async fn watch(self) {
        let mut seen = 0;
        let mut looked = Instant::now();
        loop {
            tokio::time::sleep(WATCH).await;
            self.enrolment.refresh().await;
            let changes = self.enrolment.changes();
            let tidy = looked.elapsed() >= LOGIN;
            if changes == seen && !tidy {
                continue;
            }
            seen = changes;
            if tidy {
                looked = Instant::now();
            }
            for (id, pass, since) in self.inside.all() {
                let name: &str = &id.client_id;
                if !self.enrolment.holds(name, pass) {
                    self.metrics.broker_refusal();
                    info!(client = name, "its key no longer holds; it is sent off");
                    self.inside.leave(&id);
                    self.send_off(id).await;
                } else if tidy && since.elapsed() >= LOGIN && !self.is_here(&id).await {
                    self.inside.leave(&id);
                }
            }
        }
    }

    async fn is_here(&self, id: &Id) -> bool {
        let entry = self.context.extends.shared().await.entry(id.clone());
        entry.id_same() == Some(true) && entry.is_connected().await
    }

    /// A client may hear only what is said to it.
    pub(super) fn subscribe(&self, session: &Session, subscribe: &Subscribe) -> SubscribeAclResult {
        let (client, filter): (&str, &str) = (&session.id.client_id, &subscribe.topic_filter);
        if may_subscribe(client, filter) {
            return SubscribeAclResult::new_success(subscribe.opts.qos(), None);
        }
        self.metrics.broker_refusal();
        info!(
            client,
            filter, "subscription refused: a terminal reads only its own acknowledgements"
        );
        SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
    }

    /// A report on another's topic goes to quarantine under the name of the terminal that sent it, so that the bureau sees
    /// it. It can't be counted for either: what it says and who said it disagree. Kept as far as there is room.
    pub(super) async fn put_on_record(&self, client: &str, topic: &str, payload: &Bytes) {
        let Some((named, Channel::Report)) = topic::parse(topic) else {
            return;
        };
        let payload = match decode(payload) {
            Ok(mut report) => {
                named.clone_into(&mut report.terminal);
                report.encode_to_vec().into()
            }
            Err(_unreadable) => payload.clone(),
        };
        let Some(turn) = self.turns.take(client) else {
            return;
        };
        let keeping = async {
            let room = self.intake.room(payload.len()).await?;
            let sender = Some(client.to_owned());
            self.intake.accept_in(room, sender, payload).await
        };
        drop(tokio::time::timeout(PATIENCE, keeping).await);
        drop(turn);
    }
}
