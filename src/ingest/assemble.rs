//! The sans-IO core of ingest: received reports in, one store batch and one outcome a report out.
//!
//! Not responsible for queues, commits and acknowledgements (`pipeline`).

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use classpulse_proto::v1::{Ack, Report, Settings};
use jiff::{civil::Date, tz::TimeZone};

use super::{
    check::{self, Received},
    decode::decode,
    reason::Reason,
};
use crate::{
    domain::{ids::TerminalId, minutes::DayMinutes},
    store::{Batch, Committed, Contact, Refusal, Standing},
};

/// One report as it came.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The terminal as the topic says it; `None` for gRPC.
    pub topic_terminal: Option<String>,
    /// The bytes.
    pub payload: Bytes,
    /// The service's clock at arrival, Unix seconds.
    pub received_at: i64,
    /// The quarantine entry that this is a replay of.
    pub replay_of: Option<i64>,
}

/// What became of one report, true once its batch is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whom the acknowledgement is for; `None` where nobody could be made out.
    pub terminal: Option<TerminalId>,
    /// What to tell the terminal; `None` where the report could not be kept whole, so that it must come again.
    pub ack: Option<Ack>,
    /// Sessions that were believed.
    pub accepted: usize,
    /// What was refused and why, in words.
    pub refused: Vec<(Reason, String)>,
}

/// A report that has been decoded, or why not.
#[derive(Debug)]
pub enum Decoded {
    /// It speaks for this terminal.
    Good(Box<(TerminalId, Report)>),
    /// Refused whole.
    Bad(Reason, Refusal),
}

/// Decodes a report and makes out who speaks.
#[must_use]
pub fn open(incoming: &Incoming, zone: &TimeZone) -> Decoded {
    let received = received(incoming, zone);
    let mut said = String::new();
    let opened = decode(&incoming.payload).and_then(|report| {
        said.clone_from(&report.terminal);
        Ok(Box::new((check::identify(&report, received)?, report)))
    });
    match opened {
        Ok(good) => Decoded::Good(good),
        Err((reason, detail)) => {
            let refusal = check::refuse_whole(&incoming.payload, &said, reason, detail, received);
            Decoded::Bad(reason, refusal)
        }
    }
}

fn received<'a>(incoming: &'a Incoming, zone: &'a TimeZone) -> Received<'a> {
    Received {
        topic_terminal: incoming.topic_terminal.as_deref(),
        at: incoming.received_at,
        zone,
    }
}

/// Reports on their way into one commit.
#[derive(Debug, Default)]
pub struct Assembly {
    days: BTreeMap<(TerminalId, Date), DayMinutes>,
    contacts: BTreeMap<TerminalId, Contact>,
    quarantined: Vec<Refusal>,
    replayed: Vec<i64>,
    /// For each report, which of `quarantined` are its own.
    spans: Vec<std::ops::Range<usize>>,
    outcomes: Vec<Outcome>,
}

/// What the aggregator knows of the terminals in a batch, and how many more unknown ones it takes.
#[derive(Debug)]
pub struct Known<'a> {
    /// Standings of every terminal that speaks in the batch.
    pub standings: &'a HashMap<TerminalId, Standing>,
    /// How many more terminals may be put on the list for approval.
    pub room_for_unknown: u64,
}

impl Assembly {
    /// Adds one report.
    pub fn add(
        &mut self,
        incoming: &Incoming,
        decoded: Decoded,
        known: &mut Known<'_>,
        zone: &TimeZone,
    ) {
        let from = self.quarantined.len();
        let outcome = match decoded {
            Decoded::Bad(reason, refusal) => self.refuse(None, None, reason, refusal),
            Decoded::Good(good) => {
                let (terminal, report) = *good;
                self.add_report(incoming, terminal, &report, known, zone)
            }
        };
        if incoming.replay_of.is_some() {
            // A replay that is still refused stays in quarantine as it is.
            self.quarantined.truncate(from);
            if let (Some(entry), true) = (incoming.replay_of, outcome.refused.is_empty()) {
                self.replayed.push(entry);
            }
        }
        self.spans.push(from..self.quarantined.len());
        self.outcomes.push(outcome);
    }

    /// Puts a report into quarantine that passed every check but that the database refuses; `detail` is what it said.
    pub fn add_unstorable(
        &mut self,
        incoming: &Incoming,
        decoded: &Decoded,
        detail: String,
        zone: &TimeZone,
    ) {
        let (terminal, ack) = match decoded {
            Decoded::Good(good) => (
                Some(good.0.clone()),
                Some(ack(&good.1, incoming.received_at)),
            ),
            Decoded::Bad(..) => (None, None),
        };
        let said = terminal.as_ref().map_or("", TerminalId::as_str);
        let reason = Reason::Unstorable;
        let received = received(incoming, zone);
        let refusal = check::refuse_whole(&incoming.payload, said, reason, detail, received);
        let from = self.quarantined.len();
        let outcome = self.refuse(terminal, ack, reason, refusal);
        self.spans.push(from..self.quarantined.len());
        self.outcomes.push(outcome);
    }

    fn refuse(
        &mut self,
        terminal: Option<TerminalId>,
        ack: Option<Ack>,
        reason: Reason,
        refusal: Refusal,
    ) -> Outcome {
        let refused = vec![(reason, refusal.detail.clone())];
        self.quarantined.push(refusal);
        Outcome {
            terminal,
            ack,
            accepted: 0,
            refused,
        }
    }

    fn add_report(
        &mut self,
        incoming: &Incoming,
        terminal: TerminalId,
        report: &Report,
        known: &mut Known<'_>,
        zone: &TimeZone,
    ) -> Outcome {
        let received = received(incoming, zone);
        let ack = Some(ack(report, incoming.received_at));
        let standing = known.standings.get(&terminal).unwrap_or(&Standing::Unknown);
        if *standing == Standing::Unknown && !self.contacts.contains_key(&terminal) {
            if known.room_for_unknown == 0 {
                let detail =
                    "nobody knows this terminal, and the list for approval is full".to_owned();
                let reason = Reason::TooManyUnknown;
                let refusal = check::refuse_whole(
                    &incoming.payload,
                    terminal.as_str(),
                    reason,
                    detail,
                    received,
                );
                return self.refuse(Some(terminal), ack, reason, refusal);
            }
            known.room_for_unknown -= 1;
        }
        let checked = check::check(report, &terminal, standing, received);
        for part in checked.painted {
            self.days
                .entry((terminal.clone(), part.day))
                .or_default()
                .merge(&part.minutes);
        }
        let refused: Vec<_> = checked
            .refusals
            .iter()
            .map(|(reason, refusal)| (*reason, refusal.detail.clone()))
            .collect();
        self.quarantined
            .extend(checked.refusals.into_iter().map(|(_, refusal)| refusal));
        if incoming.replay_of.is_none() {
            self.hear(&terminal, report, incoming.received_at);
        }
        let accepted = report.sessions.len() - refused.len();
        Outcome {
            terminal: Some(terminal),
            ack,
            accepted,
            refused,
        }
    }

    fn hear(&mut self, terminal: &TerminalId, report: &Report, at: i64) {
        let mut boot_id = [0; 16];
        boot_id.copy_from_slice(&report.boot_id);
        let facts = report
            .facts
            .as_ref()
            .map(|facts| (bounded(&facts.version, 64), bounded(&facts.os, 128)));
        let new = Contact {
            terminal: terminal.clone(),
            received_at: at,
            clock_offset: report.sent_at.saturating_sub(at),
            boot_id,
            facts,
        };
        match self.contacts.get_mut(terminal) {
            Some(old) => {
                let facts = new.facts.clone().or(old.facts.take());
                *old = Contact { facts, ..new };
            }
            None => {
                self.contacts.insert(terminal.clone(), new);
            }
        }
    }

    /// The batch to commit: sorted, one row a key.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch {
            days: self
                .days
                .iter()
                .map(|((terminal, day), minutes)| (terminal.clone(), *day, *minutes))
                .collect(),
            contacts: self.contacts.values().cloned().collect(),
            quarantined: self.quarantined.clone(),
            replayed: self.replayed.clone(),
        }
    }

    /// The outcomes once the batch is committed, in the order in which reports were added.
    /// A report whose refusals found no room is not acknowledged: it waits in the terminal's journal.
    #[must_use]
    pub fn finish(mut self, committed: &Committed, settings: Option<Settings>) -> Vec<Outcome> {
        for (span, outcome) in self.spans.iter().zip(&mut self.outcomes) {
            if committed
                .overflowed
                .iter()
                .any(|index| span.contains(index))
            {
                outcome.ack = None;
            }
            if let Some(ack) = &mut outcome.ack {
                ack.settings = settings;
            }
        }
        self.outcomes
    }
}

fn ack(report: &Report, at: i64) -> Ack {
    Ack {
        boot_id: report.boot_id.clone(),
        sequences: vec![report.sequence],
        server_time_ms: at.saturating_mul(1_000),
        settings: None,
    }
}

/// The first characters of a text that came from outside.
fn bounded(text: &str, bytes: usize) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    while text.len() > bytes {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use classpulse_proto::v1::{Kind, Session};
    use prost::Message as _;

    use super::*;

    const NOW: i64 = 1_788_220_800;

    fn incoming(name: &str, sessions: Vec<(i64, i64)>) -> Incoming {
        let sessions = sessions.into_iter().map(|(start, end)| Session {
            kind: Kind::Used.into(),
            number: 1,
            start,
            end,
            open: false,
        });
        let report = Report {
            boot_id: vec![1; 16],
            sequence: 5,
            sessions: sessions.collect(),
            ..Report::default()
        };
        Incoming {
            topic_terminal: Some(name.to_owned()),
            payload: report.encode_to_vec().into(),
            received_at: NOW,
            replay_of: None,
        }
    }

    fn assemble(all: &[Incoming], room: u64) -> Assembly {
        let (standings, zone) = (HashMap::new(), TimeZone::UTC);
        let mut known = Known {
            standings: &standings,
            room_for_unknown: room,
        };
        let mut assembly = Assembly::default();
        for one in all {
            assembly.add(one, open(one, &zone), &mut known, &zone);
        }
        assembly
    }

    #[test]
    fn several_reports_of_a_terminal_fold_into_one_row() {
        let all = [
            incoming("b", vec![(NOW - 600, NOW - 540)]),
            incoming("a", vec![(NOW - 600, NOW - 540)]),
            incoming("b", vec![(NOW - 600, NOW - 300)]),
        ];
        let assembly = assemble(&all, 10);
        let batch = assembly.batch();
        let rows: Vec<_> = batch
            .days
            .iter()
            .map(|(name, _, day)| (name.as_str(), day.used.count()))
            .collect();
        assert_eq!(rows, [("a", 1), ("b", 5)]);
        assert_eq!(batch.contacts.len(), 2);
        let outcomes = assembly.finish(&Committed::default(), None);
        assert!(
            outcomes
                .iter()
                .all(|one| one.ack.as_ref().unwrap().sequences == [5])
        );
    }

    #[test]
    fn a_full_list_of_unknown_terminals_and_a_full_quarantine_lose_nothing() {
        let all = [
            incoming("a", vec![(NOW - 600, NOW)]),
            incoming("b", vec![(NOW - 600, NOW)]),
            incoming("a", vec![(NOW, NOW - 1)]),
        ];
        let assembly = assemble(&all, 1);
        assert_eq!(assembly.batch().quarantined.len(), 2);
        let outcomes = assembly.finish(
            &Committed {
                overflowed: vec![1],
            },
            None,
        );
        assert_eq!(outcomes[1].refused[0].0, Reason::TooManyUnknown);
        assert!(
            outcomes[1].ack.is_some(),
            "kept in quarantine, so acknowledged"
        );
        assert!(outcomes[2].ack.is_none(), "not kept, so it must come again");
    }

    #[test]
    fn a_replay_is_ticked_off_or_stays() {
        let mut good = incoming("a", vec![(NOW - 60, NOW)]);
        good.replay_of = Some(7);
        let mut bad = incoming("a", vec![(NOW, NOW - 1)]);
        bad.replay_of = Some(8);
        let assembly = assemble(&[good, bad], 9);
        let batch = assembly.batch();
        assert_eq!(batch.replayed, [7]);
        assert!(batch.quarantined.is_empty() && batch.contacts.is_empty());
        assert_eq!(batch.days.len(), 1);
    }

    #[test]
    fn texts_from_outside_are_bounded() {
        assert_eq!(bounded("视\u{7}频ab", 7), "视频a");
    }
}
