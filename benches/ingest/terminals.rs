//! The load generator: many terminals over plain TCP in one thread, one epoll.
//!
//! Closed loop: a connection has at most so many reports unanswered. With a rate, reports are due at fixed moments and
//! their latency counts from the moment they were due, so that a stall is not hidden by sending less.
//! Not responsible for what stands on the other side.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use classpulse_proto::{
    topic::{self, Channel},
    v1::Ack,
};
use hdrhistogram::Histogram;
use prost::Message as _;
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    net::{AddressFamily, SocketFlags, SocketType},
};

use crate::{
    frames::{self, Frame},
    reports::{Place, Reports, placed},
    setup,
    spread::now,
};

/// Most reports that a connection may have unanswered. (With the embedded broker 64.)
pub(crate) const MAX_INFLIGHT: usize = 1_000;

/// Connections from one source address: well below the number of free ports.
const PER_ADDRESS: usize = 10_000;

/// When an application acknowledgement is taken for lost, and the report sent again, as agents do.
const PATIENCE: Duration = Duration::from_secs(15);

/// "Quota exceeded": ingest is full, and the report is to come again.
const BUSY: u8 = 0x97;

/// Pause before a refused connection is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// What says that a report is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The PUBACK: the embedded broker sends it after the commit.
    PubAck,
    /// The application's acknowledgement on the terminal's topic, where a report asks for one.
    Ack,
}

/// How the terminals behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Where the broker listens on 127.0.0.1.
    pub port: u16,
    /// How many terminals.
    pub terminals: usize,
    /// Over how many connections.
    pub connections: usize,
    /// Reports that a connection may have unanswered.
    pub inflight: usize,
    /// Reports a second over all; 0 for as many as possible.
    pub rate: u64,
    /// What counts as an answer.
    pub answer: Answer,
    /// What they say.
    pub reports: Reports,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Away,
    Connecting,
    LoggingIn,
    Subscribing,
    Ready,
}

struct Connection {
    stage: Stage,
    stream: Option<TcpStream>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Whether epoll tells when there is room to write.
    wants_room: bool,
    unanswered: usize,
    terminals: std::ops::Range<usize>,
    /// Whose turn it is.
    turn: usize,
    next_id: u16,
    /// What the publishes were, by packet id modulo its length.
    ids: Vec<Option<Place>>,
}

#[derive(Clone)]
struct Terminal {
    topic: String,
    connection: usize,
    /// The number of its next report.
    next: u64,
    /// From this report on all ask for an answer.
    loud_from: u64,
    /// When those unanswered were due, by number modulo the length.
    due: Vec<Option<Instant>>,
}

/// What happened between two looks.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Reports answered.
    pub answered: u64,
    /// Length of the time.
    pub time: Duration,
    /// From due to answered, microseconds.
    pub latency: Histogram<u64>,
    /// Reports sent again: told to come again, or without an acknowledgement for too long.
    pub again: u64,
}

/// All terminals.
pub(crate) struct Terminals {
    plan: Plan,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    all: Vec<Terminal>,
    events: Vec<Event>,
    scratch: Vec<u8>,
    payload: Vec<u8>,
    /// Seconds for `sent_at`: read once a turn.
    wall: i64,
    /// When the first report was due, and how many have been due since; for a rate.
    schedule: Option<(Instant, u64)>,
    /// The connection that is next in turn, with a rate.
    turn: usize,
    sending: bool,
    ready: usize,
    answered: u64,
    again: u64,
    latency: Histogram<u64>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("constant bounds")
}

impl Terminals {
    pub(crate) fn new(plan: Plan) -> Self {
        assert!(
            (1..=MAX_INFLIGHT).contains(&plan.inflight),
            "in flight: 1 to 1,000"
        );
        assert!((1..=plan.terminals).contains(&plan.connections));
        let share = |index: usize| index * plan.terminals / plan.connections;
        let connections: Vec<_> = (0..plan.connections)
            .map(|index| Connection {
                stage: Stage::Away,
                stream: None,
                inbox: Vec::new(),
                outbox: Vec::new(),
                wants_room: false,
                unanswered: 0,
                terminals: share(index)..share(index + 1),
                turn: 0,
                next_id: 1,
                ids: vec![None; 2 * plan.inflight],
            })
            .collect();
        let terminals = connections
            .iter()
            .enumerate()
            .flat_map(|(connection, shared)| {
                shared.terminals.clone().map(move |index| Terminal {
                    topic: topic::of(&setup::terminal(index), Channel::Report),
                    connection,
                    next: 0,
                    loud_from: u64::MAX,
                    due: vec![None; plan.inflight],
                })
            })
            .collect();
        Self {
            plan,
            epoll: epoll::create(CreateFlags::CLOEXEC).expect("an epoll"),
            connections,
            all: terminals,
            events: Vec::with_capacity(1_024),
            scratch: vec![0; 256 * 1_024],
            payload: Vec::new(),
            wall: 0,
            schedule: None,
            turn: 0,
            sending: false,
            ready: 0,
            answered: 0,
            again: 0,
            latency: histogram(),
        }
    }

    /// How many reports each terminal has sent.
    pub(crate) fn sent(&self) -> Vec<u64> {
        self.all.iter().map(|terminal| terminal.next).collect()
    }

    /// Connects all, as often as it takes, until each has subscribed to its acknowledgements.
    /// Returns how long it took from the first connection that came through.
    pub(crate) fn connect(&mut self, patience: Duration) -> Duration {
        let begun = now();
        let mut first = None;
        self.dial_all();
        while self.ready < self.connections.len() {
            assert!(
                begun.elapsed() < patience,
                "only {} of {} terminals got through within {patience:?}",
                self.ready,
                self.connections.len()
            );
            self.turn(Duration::from_millis(20));
            let came = |one: &Connection| !matches!(one.stage, Stage::Away | Stage::Connecting);
            if first.is_none() && self.connections.iter().any(came) {
                first = Some(now());
            }
            self.dial_all();
        }
        first.unwrap_or(begun).elapsed()
    }

    /// Forgets all connections: what a service's end looks like, without waiting to be told.
    pub(crate) fn hang_up(&mut self) {
        for index in 0..self.connections.len() {
            self.lose(index);
        }
    }

    /// One report of every terminal, all at once. Returns how long it took until all were answered.
    pub(crate) fn one_each(&mut self, patience: Duration) -> Duration {
        let begun = now();
        self.wall = setup::unix_now();
        for index in 0..self.all.len() {
            let connection = self.all[index].connection;
            self.publish(connection, index, begun);
        }
        for index in 0..self.connections.len() {
            self.flush(index);
        }
        self.await_answers(begun, patience);
        begun.elapsed()
    }

    /// Reports for so long.
    pub(crate) fn run(&mut self, time: Duration) -> Seen {
        let begun = now();
        if !self.sending {
            self.sending = true;
            self.schedule = (self.plan.rate > 0).then_some((begun, 0));
            if self.plan.rate == 0 {
                for index in 0..self.connections.len() {
                    self.refill(index);
                    self.flush(index);
                }
            }
        }
        let mut looked = begun;
        while begun.elapsed() < time {
            self.wall = setup::unix_now();
            self.due();
            let pause = if self.plan.rate > 0 { 1 } else { 50 };
            self.turn(Duration::from_millis(pause));
            if looked.elapsed() > Duration::from_secs(1) {
                looked = now();
                self.send_again();
            }
        }
        self.look(begun.elapsed())
    }

    /// Sends nothing more and waits until everything is answered.
    pub(crate) fn drain(&mut self, patience: Duration) -> Seen {
        let begun = now();
        self.sending = false;
        self.schedule = None;
        self.say_last(begun, patience);
        self.await_answers(begun, patience);
        self.look(begun.elapsed())
    }

    /// A last report of every terminal whose latest asked for no answer: it says all that the quiet ones said.
    fn say_last(&mut self, begun: Instant, patience: Duration) {
        let last = |number: u64, terminal| Place {
            terminal,
            number: number - 1,
        };
        let mut waiting: Vec<usize> = (0..self.all.len())
            .filter(|index| self.all[*index].next > 0)
            .filter(|index| self.is_quiet(last(self.all[*index].next, *index)))
            .collect();
        while !waiting.is_empty() {
            assert!(begun.elapsed() < patience, "no room for last reports");
            waiting.retain(|index| {
                let terminal = &mut self.all[*index];
                let (next, connection) = (terminal.next, terminal.connection);
                let free = terminal.due[slot(next, terminal.due.len())].is_none();
                if free {
                    terminal.loud_from = next;
                    self.publish(connection, *index, now());
                }
                !free
            });
            for index in 0..self.connections.len() {
                self.flush(index);
            }
            self.turn(Duration::from_millis(20));
        }
    }

    fn is_quiet(&self, place: Place) -> bool {
        place.number < self.all[place.terminal].loud_from && self.plan.reports.is_quiet(place)
    }

    fn await_answers(&mut self, begun: Instant, patience: Duration) {
        let mut looked = begun;
        while self.connections.iter().any(|one| one.unanswered > 0) {
            let left: usize = self.connections.iter().map(|one| one.unanswered).sum();
            assert!(
                begun.elapsed() < patience,
                "{left} reports had no answer within {patience:?}"
            );
            self.turn(Duration::from_millis(20));
            if looked.elapsed() > Duration::from_secs(1) {
                looked = now();
                self.send_again();
            }
        }
    }

    fn look(&mut self, time: Duration) -> Seen {
        Seen {
            answered: std::mem::take(&mut self.answered),
            time,
            latency: std::mem::replace(&mut self.latency, histogram()),
            again: std::mem::take(&mut self.again),
        }
    }

    /// Waits for events and acts on them.
    fn turn(&mut self, pause: Duration) {
        let pause = pause.try_into().expect("a short pause");
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&pause),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &events {
            let index = usize::try_from(event.data.u64()).expect("an index");
            self.event(index, event.flags);
        }
        self.events = events;
    }

    fn event(&mut self, index: usize, flags: EventFlags) {
        if self.connections[index].stage == Stage::Connecting && !self.connected(index) {
            return self.lose(index);
        }
        let alive = if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(index)
        } else {
            true
        };
        if alive {
            if self.sending && self.plan.rate == 0 {
                self.refill(index);
            }
            self.flush(index);
        } else {
            self.lose(index);
        }
    }

    /// Begins a connection; false where nobody listens.
    fn dial(&mut self, index: usize) -> bool {
        let source = 2 + u8::try_from(index / PER_ADDRESS).expect("few addresses");
        let (from, to) = (
            SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, source), 0),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.plan.port),
        );
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .expect("a socket; is the limit of open files too low?");
        rustix::net::bind(&socket, &from).expect("a free port");
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(_refused) => return false,
        }
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::OUT)
            .expect("room in the epoll");
        let connection = &mut self.connections[index];
        connection.stage = Stage::Connecting;
        connection.wants_room = true;
        connection.stream = Some(TcpStream::from(socket));
        true
    }

    /// Begins all connections that are not there.
    fn dial_all(&mut self) {
        for index in 0..self.connections.len() {
            if self.connections[index].stage == Stage::Away && !self.dial(index) {
                return std::thread::sleep(AGAIN);
            }
        }
    }

    /// Whether a connection that was being made is there now; then it logs in.
    fn connected(&mut self, index: usize) -> bool {
        let connection = &mut self.connections[index];
        let Some(stream) = &connection.stream else {
            return false;
        };
        if stream.take_error().ok().flatten().is_some() || stream.peer_addr().is_err() {
            return false;
        }
        stream.set_nodelay(true).ok();
        connection.stage = Stage::LoggingIn;
        let name = setup::terminal(connection.terminals.start);
        frames::connect(&mut connection.outbox, &name);
        true
    }

    /// A connection that is gone; what was unanswered on it is not waited for.
    fn lose(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        assert!(
            !self.sending || connection.stage != Stage::Ready,
            "the broker ended a connection under load"
        );
        self.ready -= usize::from(connection.stage == Stage::Ready);
        // Closing takes it out of the epoll.
        connection.stream = None;
        connection.stage = Stage::Away;
        connection.unanswered = 0;
        connection.inbox.clear();
        connection.outbox.clear();
    }

    /// Reads all that is there; false where the connection has ended.
    fn read(&mut self, index: usize) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let alive = loop {
            let connection = &mut self.connections[index];
            let Some(stream) = &mut connection.stream else {
                break false;
            };
            match stream.read(&mut scratch) {
                Ok(0) => break false,
                Ok(count) => {
                    if !self.digest(index, &scratch[..count]) {
                        break false;
                    }
                    if count < scratch.len() {
                        break true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_gone) => break false,
            }
        };
        self.scratch = scratch;
        alive
    }

    /// Acts on frames; keeps the beginning of one that is not all there.
    fn digest(&mut self, index: usize, bytes: &[u8]) -> bool {
        let mut inbox = std::mem::take(&mut self.connections[index].inbox);
        let joined = !inbox.is_empty();
        if joined {
            inbox.extend_from_slice(bytes);
        }
        let whole: &[u8] = if joined { &inbox } else { bytes };
        let mut at = 0;
        let mut alive = true;
        while let Some((frame, length)) = frames::next(&whole[at..]) {
            at += length;
            if !self.act(index, &frame) {
                alive = false;
                break;
            }
        }
        let rest = whole[at..].to_vec();
        self.connections[index].inbox = rest;
        alive
    }

    fn act(&mut self, index: usize, frame: &Frame<'_>) -> bool {
        let connection = &mut self.connections[index];
        match *frame {
            Frame::ConnAck { code: 0 } => {
                connection.stage = Stage::Subscribing;
                let topics: Vec<_> = connection
                    .terminals
                    .clone()
                    .map(|terminal| topic::of(&setup::terminal(terminal), Channel::Ack))
                    .collect();
                frames::subscribe(&mut connection.outbox, u16::MAX, &topics);
            }
            Frame::SubAck { worst } if worst < 0x80 => {
                connection.stage = Stage::Ready;
                self.ready += 1;
            }
            Frame::PubAck { id, code } => {
                let slot = usize::from(id) % connection.ids.len();
                let place = connection.ids[slot].take();
                if let (BUSY, Some(place)) = (code, place) {
                    self.again += 1;
                    self.put(index, place);
                    return true;
                }
                assert!(code < 0x80, "a report was refused with code {code:#x}");
                if let Some(place) = place
                    && (self.plan.answer == Answer::PubAck || self.is_quiet(place))
                {
                    self.answered(place);
                }
            }
            Frame::Publish { id, payload } => {
                if let Some(id) = id {
                    frames::puback(&mut connection.outbox, id);
                }
                if self.plan.answer == Answer::Ack {
                    let ack = Ack::decode(payload).expect("an acknowledgement");
                    for sequence in &ack.sequences {
                        let place = placed(&ack.boot_id, *sequence).expect("a boot of ours");
                        self.answered(place);
                    }
                }
            }
            // Refusals while a service starts or stops: the connection is tried again.
            Frame::ConnAck { .. } | Frame::SubAck { .. } | Frame::Disconnect { .. } => {
                assert!(!self.sending, "the broker refused: {frame:?}");
                return false;
            }
            Frame::Other => {}
        }
        true
    }

    /// With an outside broker a quiet report is out of the generator's hands with its PUBACK, and tells no latency.
    fn answered(&mut self, place: Place) {
        let timed = self.plan.answer == Answer::PubAck || !self.is_quiet(place);
        let terminal = &mut self.all[place.terminal];
        let slot = slot(place.number, terminal.due.len());
        // What is not waited for was answered before: a report that was sent again.
        if let Some(due) = terminal.due[slot].take() {
            self.connections[terminal.connection].unanswered -= 1;
            self.answered += 1;
            let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            if timed {
                self.latency.saturating_record(micros);
            }
        }
    }

    /// With a rate: sends what is due, in turn, as far as there is room.
    fn due(&mut self) {
        let Some((begun, mut done)) = self.schedule else {
            return;
        };
        let micros = begun.elapsed().as_micros();
        let due = u64::try_from(micros * u128::from(self.plan.rate) / 1_000_000).expect("short");
        let mut full = 0;
        while done < due && full < self.connections.len() {
            let index = self.turn;
            self.turn = (self.turn + 1) % self.connections.len();
            let moment = begun + Duration::from_micros(done * 1_000_000 / self.plan.rate);
            if self.next(index, moment) {
                self.flush(index);
                done += 1;
                full = 0;
            } else {
                full += 1;
            }
        }
        self.schedule = Some((begun, done));
    }

    fn refill(&mut self, index: usize) {
        if self.connections[index].stage == Stage::Ready {
            let moment = now();
            while self.next(index, moment) {}
        }
    }

    /// The next report of a connection's next terminal, if there is room for one.
    fn next(&mut self, index: usize, due: Instant) -> bool {
        let connection = &mut self.connections[index];
        if connection.unanswered >= self.plan.inflight {
            return false;
        }
        let count = connection.terminals.len();
        for _ in 0..count {
            let terminal = connection.terminals.start + connection.turn % count;
            connection.turn = (connection.turn + 1) % count;
            let room = &self.all[terminal];
            if room.due[slot(room.next, room.due.len())].is_none() {
                self.publish(index, terminal, due);
                return true;
            }
        }
        false
    }

    fn publish(&mut self, index: usize, terminal: usize, due: Instant) {
        let state = &mut self.all[terminal];
        let place = Place {
            terminal,
            number: state.next,
        };
        state.next += 1;
        let slot = slot(place.number, state.due.len());
        state.due[slot] = Some(due);
        self.connections[index].unanswered += 1;
        self.put(index, place);
    }

    fn put(&mut self, index: usize, place: Place) {
        let quiet = self.is_quiet(place);
        let connection = &mut self.connections[index];
        let id = connection.next_id;
        let ids = connection.ids.len();
        // Ids begin again after a multiple of the ring's length, so that neighbours in time stay neighbours in the ring.
        let last = (usize::from(u16::MAX) - 1) / ids * ids;
        connection.next_id = if usize::from(id) == last { 1 } else { id + 1 };
        connection.ids[usize::from(id) % ids] = Some(place);
        self.payload.clear();
        self.plan
            .reports
            .write(&mut self.payload, place, quiet, self.wall);
        let topic = &self.all[place.terminal].topic;
        frames::publish(&mut connection.outbox, id, topic, &self.payload);
    }

    /// Reports whose acknowledgement is long overdue go out again. A PUBACK cannot be lost while its connection lives.
    fn send_again(&mut self) {
        if self.plan.answer == Answer::PubAck {
            return;
        }
        for terminal in 0..self.all.len() {
            for back in 1..=self.plan.inflight as u64 {
                let state = &self.all[terminal];
                let Some(number) = state.next.checked_sub(back) else {
                    break;
                };
                let index = state.connection;
                let overdue = state.due[slot(number, state.due.len())]
                    .is_some_and(|due| due.elapsed() > PATIENCE);
                if overdue {
                    self.again += 1;
                    self.put(index, Place { terminal, number });
                    self.flush(index);
                }
            }
        }
    }

    /// Writes what can be written, and asks epoll for word of room where something is left.
    fn flush(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let Some(stream) = &mut connection.stream else {
            return;
        };
        if connection.stage == Stage::Connecting {
            return;
        }
        let mut written = 0;
        while written < connection.outbox.len() {
            match stream.write(&connection.outbox[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A broken connection is seen when it is read.
                Err(_) => break,
            }
        }
        connection.outbox.drain(..written);
        let wants_room = !connection.outbox.is_empty();
        if wants_room != connection.wants_room {
            connection.wants_room = wants_room;
            let room = if wants_room {
                EventFlags::OUT
            } else {
                EventFlags::empty()
            };
            let data = EventData::new_u64(index as u64);
            let changed: io::Result<()> =
                epoll::modify(&self.epoll, stream, data, EventFlags::IN | room)
                    .map_err(io::Error::from);
            changed.expect("epoll");
        }
    }
}

fn slot(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).expect("small")
}
