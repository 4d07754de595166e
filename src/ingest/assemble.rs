//! The sans-IO core of ingest: received reports in, one store batch and one outcome a report out.
//!
//! Not responsible for queues, commits and acknowledgements (`pipeline`).

use std::collections::HashMap;

use bytes::Bytes;
use classpulse_proto::v1::{Ack, Report, Settings};
use jiff::{civil::Date, tz::TimeZone};

use super::{
    check::{self, Received},
    decode::decode,
    reason::Reason,
    refuse,
};
use crate::{
    domain::{ids::TerminalId, incident::Incident, minutes::DayMinutes},
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Whom the acknowledgement is for; `None` where nobody could be made out.
    pub terminal: Option<TerminalId>,
    /// Whether all of the report is safe: its minutes are committed, its refusals are in quarantine. Else it must come
    /// again.
    pub kept: bool,
    /// What to tell the terminal. `None` where the report was not kept, where its sender wants no answer, and where the
    /// acknowledgement of a later report in the same commit speaks for this one too.
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
            let refusal = refuse::refuse_whole(&incoming.payload, &said, reason, detail, received);
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
    /// Where in `speakers` a terminal stands.
    places: HashMap<TerminalId, usize>,
    speakers: Vec<Speaker>,
    quarantined: Vec<Refusal>,
    replayed: Vec<i64>,
    /// For each report, which of `quarantined` are its own.
    spans: Vec<std::ops::Range<usize>>,
    outcomes: Vec<Outcome>,
    /// For each report, whether it came over MQTT, where one message can answer for several.
    over_mqtt: Vec<bool>,
    /// For each report, whether its sender wants no answer.
    quiet: Vec<bool>,
}

/// What a batch holds of one terminal.
#[derive(Debug)]
struct Speaker {
    terminal: TerminalId,
    /// Few: nearly all reports speak of one day.
    days: Vec<(Date, DayMinutes)>,
    /// `None` while only replays speak for it.
    contact: Option<Contact>,
    incidents: Vec<Incident>,
}

/// What the aggregator knows of the terminals in a batch, and how many more unknown ones it takes.
#[derive(Debug)]
pub struct Known<'a> {
    /// Standings of every terminal that speaks in the batch.
    pub standings: &'a HashMap<TerminalId, Standing>,
    /// How many more terminals may be put on the list for approval.
    pub room_for_unknown: u64,
    /// The first day whose minutes are kept; `None` while all are.
    pub kept_from: Option<Date>,
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
        let over_mqtt = incoming.topic_terminal.is_some() && incoming.replay_of.is_none();
        self.over_mqtt.push(over_mqtt);
        self.quiet.push(over_mqtt && is_quiet(&decoded));
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
        let refusal = refuse::refuse_whole(&incoming.payload, said, reason, detail, received);
        let from = self.quarantined.len();
        let outcome = self.refuse(terminal, ack, reason, refusal);
        self.spans.push(from..self.quarantined.len());
        let over_mqtt = incoming.topic_terminal.is_some();
        self.over_mqtt.push(over_mqtt);
        self.quiet.push(over_mqtt && is_quiet(decoded));
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
            // Where no room is found for it in quarantine, `finish` says so.
            kept: true,
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
        if *standing == Standing::Unknown && !self.is_known(&terminal) {
            if known.room_for_unknown == 0 {
                let detail =
                    "nobody knows this terminal, and the list for approval is full".to_owned();
                let reason = Reason::TooManyUnknown;
                let refusal = refuse::refuse_whole(
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
        let checked = check::check(report, &terminal, standing, known.kept_from, received);
        let refused: Vec<_> = checked
            .refusals
            .iter()
            .map(|(reason, refusal)| (*reason, refusal.detail.clone()))
            .collect();
        self.quarantined
            .extend(checked.refusals.into_iter().map(|(_, refusal)| refusal));
        let accepted = checked.accepted;
        let speaker = self.speaker(&terminal);
        speaker.incidents.extend(checked.incidents);
        for part in checked.painted {
            speaker.paint(part.day, &part.minutes);
        }
        if incoming.replay_of.is_none() {
            speaker.hear(report, incoming.received_at);
        }
        Outcome {
            terminal: Some(terminal),
            kept: true,
            ack,
            accepted,
            refused,
        }
    }

    /// Whether the batch puts the terminal on the list for approval already.
    fn is_known(&self, terminal: &TerminalId) -> bool {
        self.places
            .get(terminal)
            .is_some_and(|place| self.speakers[*place].contact.is_some())
    }

    fn speaker(&mut self, terminal: &TerminalId) -> &mut Speaker {
        let place = if let Some(place) = self.places.get(terminal) {
            *place
        } else {
            let place = self.speakers.len();
            self.places.insert(terminal.clone(), place);
            self.speakers.push(Speaker {
                terminal: terminal.clone(),
                days: Vec::with_capacity(1),
                contact: None,
                incidents: Vec::new(),
            });
            place
        };
        &mut self.speakers[place]
    }

    /// Takes out the batch to commit: sorted, one row a key. What remains waits for [`Assembly::finish`].
    #[must_use]
    pub fn batch(&mut self) -> Batch {
        self.places.clear();
        self.speakers
            .sort_unstable_by(|a, b| a.terminal.cmp(&b.terminal));
        let mut batch = Batch {
            days: Vec::with_capacity(self.speakers.len()),
            contacts: Vec::with_capacity(self.speakers.len()),
            quarantined: std::mem::take(&mut self.quarantined),
            replayed: std::mem::take(&mut self.replayed),
            incidents: Vec::new(),
        };
        for speaker in self.speakers.drain(..) {
            let mut days = speaker.days;
            days.sort_unstable_by_key(|(day, _)| *day);
            let rows = days
                .into_iter()
                .map(|(day, minutes)| (speaker.terminal.clone(), day, minutes));
            batch.days.extend(rows);
            batch.contacts.extend(speaker.contact);
            batch.incidents.extend(speaker.incidents);
        }
        batch
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
                outcome.kept = false;
                outcome.ack = None;
            }
            if let Some(ack) = &mut outcome.ack {
                ack.settings = settings;
            }
        }
        for (quiet, outcome) in self.quiet.iter().zip(&mut self.outcomes) {
            if *quiet {
                outcome.ack = None;
            }
        }
        speak_once(&self.over_mqtt, &mut self.outcomes);
        self.outcomes
    }
}

fn is_quiet(decoded: &Decoded) -> bool {
    matches!(decoded, Decoded::Good(good) if good.1.quiet)
}

/// Most sequence numbers in one acknowledgement: at most 10 bytes each, far below the 64 KB that agents take.
pub const MAX_SEQUENCES: usize = 1_000;

/// Lets the last of a boot's reports over MQTT speak for all of them: a terminal that catches up, or one batch of a busy
/// second, is answered with one message.
fn speak_once(over_mqtt: &[bool], outcomes: &mut [Outcome]) {
    let mut latest: HashMap<(&TerminalId, &[u8]), usize> = HashMap::with_capacity(outcomes.len());
    let mut earlier = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        if let (true, Some(terminal), Some(ack)) =
            (over_mqtt[index], &outcome.terminal, &outcome.ack)
            && let Some(before) = latest.insert((terminal, &ack.boot_id), index)
        {
            earlier.push((before, index));
        }
    }
    // In the order of the reports, so that what was handed on is handed on again.
    for (from, to) in earlier {
        let known = |index: usize| {
            let ack = outcomes[index].ack.as_ref();
            ack.map_or(0, |ack| ack.sequences.len())
        };
        if known(from) + known(to) > MAX_SEQUENCES {
            continue;
        }
        let Some(handed) = outcomes[from].ack.take() else {
            continue;
        };
        if let Some(ack) = &mut outcomes[to].ack {
            ack.sequences.extend(handed.sequences);
            ack.sequences.sort_unstable();
            ack.sequences.dedup();
        }
    }
}

impl Speaker {
    fn paint(&mut self, day: Date, minutes: &DayMinutes) {
        match self.days.iter_mut().find(|(known, _)| *known == day) {
            Some((_, known)) => known.merge(minutes),
            None => self.days.push((day, *minutes)),
        }
    }

    fn hear(&mut self, report: &Report, at: i64) {
        let mut boot_id = [0; 16];
        boot_id.copy_from_slice(&report.boot_id);
        // A boot lives while it speaks for itself. Where two do in one batch, the later batches tell them apart.
        let lives = !report.over && !report.history;
        let mut sequence = lives.then(|| i64::try_from(report.sequence).unwrap_or(i64::MAX));
        if let Some(earlier) = &self.contact
            && earlier.sequence.is_some()
            && (!lives || earlier.boot_id == boot_id)
        {
            boot_id = earlier.boot_id;
            sequence = sequence.max(earlier.sequence);
        }
        let said = report
            .facts
            .as_ref()
            .map(|facts| (bounded(&facts.version, 64), bounded(&facts.os, 128)));
        let facts = said.or_else(|| self.contact.take().and_then(|earlier| earlier.facts));
        self.contact = Some(Contact {
            terminal: self.terminal.clone(),
            received_at: at,
            clock_offset: report.sent_at.saturating_sub(at),
            boot_id,
            sequence,
            facts,
        });
    }
}

fn ack(report: &Report, at: i64) -> Ack {
    Ack {
        boot_id: report.boot_id.clone(),
        sequences: vec![report.sequence],
        server_time_ms: at.saturating_mul(1_000),
        settings: None,
        renew_key: false,
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
            kept_from: None,
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
        let mut assembly = assemble(&all, 10);
        let batch = assembly.batch();
        let rows: Vec<_> = batch
            .days
            .iter()
            .map(|(name, _, day)| (name.as_str(), day.used.count()))
            .collect();
        assert_eq!(rows, [("a", 1), ("b", 5)]);
        assert_eq!(batch.contacts.len(), 2);
        let outcomes = assembly.finish(&Committed::default(), None);
        assert!(outcomes.iter().all(|one| one.kept));
        let sequences = |index: usize| outcomes[index].ack.as_ref().map(|ack| &ack.sequences[..]);
        assert_eq!(
            [sequences(0), sequences(1), sequences(2)],
            [None, Some(&[5][..]), Some(&[5][..])],
            "the later report's acknowledgement speaks for both"
        );
    }

    #[test]
    fn one_acknowledgement_speaks_for_a_boots_kept_reports_and_no_others() {
        let good = vec![(NOW - 600, NOW - 540)];
        let mut all = Vec::new();
        for (sequence, boot, over_mqtt, sessions) in [
            (7_u64, 1_u8, true, good.clone()),
            (6, 1, true, good.clone()),
            (8, 1, true, vec![(NOW, NOW - 1)]),
            (9, 2, true, good.clone()),
            (4, 1, false, good.clone()),
            (3, 1, true, good),
        ] {
            let mut one = incoming("a", sessions);
            let mut report = Report::decode(&one.payload[..]).unwrap();
            report.boot_id = vec![boot; 16];
            report.sequence = sequence;
            if !over_mqtt {
                "a".clone_into(&mut report.terminal);
                one.topic_terminal = None;
            }
            one.payload = report.encode_to_vec().into();
            all.push(one);
        }
        let mut assembly = assemble(&all, 1);
        assert_eq!(assembly.batch().quarantined.len(), 1);
        let full = Committed {
            overflowed: vec![0],
            ..Committed::default()
        };
        let outcomes = assembly.finish(&full, None);
        let told: Vec<_> = outcomes
            .iter()
            .map(|one| {
                let sequences = one.ack.as_ref().map(|ack| ack.sequences.clone());
                (one.kept, sequences.unwrap_or_default())
            })
            .collect();
        let expected = [
            (true, vec![]),
            (true, vec![]),
            (false, vec![]),
            (true, vec![9]),
            (true, vec![4]),
            (true, vec![3, 6, 7]),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_acknowledgement_of_very_many_reports_goes_out_in_parts() {
        let one = incoming("a", vec![(NOW - 600, NOW - 540)]);
        let mut report = Report::decode(&one.payload[..]).unwrap();
        let count = 2 * MAX_SEQUENCES as u64 + 1;
        let all: Vec<_> = (1..=count)
            .map(|sequence| {
                report.sequence = sequence;
                Incoming {
                    payload: report.encode_to_vec().into(),
                    ..one.clone()
                }
            })
            .collect();
        let mut assembly = assemble(&all, 1);
        assert_eq!(assembly.batch().days.len(), 1);
        let outcomes = assembly.finish(&Committed::default(), None);
        let acks: Vec<_> = outcomes.into_iter().filter_map(|one| one.ack).collect();
        assert_eq!(acks.len(), 3);
        assert!(acks.iter().all(|ack| ack.sequences.len() <= MAX_SEQUENCES));
        let told: Vec<u64> = acks.into_iter().flat_map(|ack| ack.sequences).collect();
        assert_eq!(told, (1..=count).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_list_of_unknown_terminals_and_a_full_quarantine_lose_nothing() {
        let all = [
            incoming("a", vec![(NOW - 600, NOW)]),
            incoming("b", vec![(NOW - 600, NOW)]),
            incoming("a", vec![(NOW, NOW - 1)]),
        ];
        let mut assembly = assemble(&all, 1);
        assert_eq!(assembly.batch().quarantined.len(), 2);
        let outcomes = assembly.finish(
            &Committed {
                overflowed: vec![1],
                ..Committed::default()
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
        let mut assembly = assemble(&[good, bad], 9);
        let batch = assembly.batch();
        assert_eq!(batch.replayed, [7]);
        assert!(batch.quarantined.is_empty() && batch.contacts.is_empty());
        assert_eq!(batch.days.len(), 1);
    }

    #[test]
    fn a_quiet_report_is_kept_and_silences_nobody_else() {
        let quiet = |mut one: Incoming| {
            let mut report = Report::decode(one.payload.clone()).unwrap();
            (report.quiet, report.sequence) = (true, 6);
            one.payload = report.encode_to_vec().into();
            one
        };
        let spoken = || incoming("a", vec![(NOW - 600, NOW - 540)]);
        let mut over_grpc = quiet(incoming("c", vec![]));
        over_grpc.topic_terminal = None;
        let mut report = Report::decode(over_grpc.payload.clone()).unwrap();
        "c".clone_into(&mut report.terminal);
        over_grpc.payload = report.encode_to_vec().into();
        let all = [
            spoken(),
            quiet(incoming("a", vec![(NOW - 600, NOW - 480)])),
            over_grpc,
        ];
        let mut assembly = assemble(&all, 10);
        assert_eq!(assembly.batch().days[0].2.used.count(), 2);
        let outcomes = assembly.finish(&Committed::default(), None);
        assert!(outcomes.iter().all(|one| one.kept));
        assert_eq!(outcomes[0].ack.as_ref().unwrap().sequences, [5]);
        assert!(outcomes[1].ack.is_none());
        assert!(outcomes[2].ack.is_some(), "a call has an answer");
    }

    #[test]
    fn texts_from_outside_are_bounded() {
        assert_eq!(bounded("视\u{7}频ab", 7), "视频a");
    }
}
