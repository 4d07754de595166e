//! Keeps a connection to the server, as this terminal; enrols first where the machine is none yet. One task, for as long
//! as the agent lives, that tells the driver what happens.
//!
//! Not responsible for what is said over the connection (`publish`).

use std::{fmt, time::Duration};

use classpulse_proto::{
    topic::{self, Channel},
    v1::{Ack, Hardware, State},
};
use prost::Message as _;
use rand::{RngExt as _, rngs::StdRng};
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{LastWill, Packet},
        },
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{
    access::{Access, Hitch},
    enrol::{self, Application, EnrolError, Welcome},
    identity::{Identity, IdentityFile},
};

/// Requests that may wait for the connection; reports in flight are bounded by the core.
const REQUESTS: usize = 64;
/// First and longest pause before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// The same where the server is there and does not want us: it has others to attend to.
const UNWANTED: Duration = Duration::from_mins(10);
/// Between two tries with a code that was refused: it may be a mistake of the bureau's that is mended.
const REFUSED: Duration = Duration::from_hours(1);
/// A connection that held so long was a good one: the next loss begins with the first pause again. Two machines under
/// one identity throw each other out, and must not do it at full speed.
const GOOD: Duration = Duration::from_mins(1);
/// The longest that terminals are spread over whose good connection was lost: a server that went away comes back for all
/// of them at once.
const SPREAD: Duration = Duration::from_secs(10);
/// The broker answers what was sent within this, or the connection is dead: routers forget without a word.
const ANSWER: Duration = Duration::from_secs(30);
/// A key that was refused so often, over so long, is no longer this terminal's: it enrols again, where it can.
const LOST_KEY: (u32, Duration) = (3, Duration::from_mins(10));
/// Between two tries to renew a key: acknowledgements ask for it until it is done.
const RENEW_AGAIN: Duration = Duration::from_mins(5);
/// The longest wait for an orderly end of a connection that is replaced.
const GOODBYE: Duration = Duration::from_millis(500);
/// The number that stands for the report's topic, once it was said with the topic.
pub(crate) const REPORT_ALIAS: u16 = 1;
/// So many handshakes in a row that were cut short are no accident: something that speaks no TLS answers there.
const CUTS: u32 = 3;

/// Who speaks.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The terminal's id: client id and user name.
    pub terminal: String,
    /// The password; empty where a terminal was named by hand, for a broker that asks for none.
    pub key: String,
    /// The one before it, for a broker that does not know the new one yet; empty for none.
    pub previous: String,
}

impl Login {
    /// As a terminal that was named by hand.
    #[must_use]
    pub fn without_key(terminal: String) -> Self {
        Self {
            terminal,
            key: String::new(),
            previous: String::new(),
        }
    }

    /// What is shown as the password.
    fn shown(&self, with_previous: bool) -> &str {
        if with_previous {
            &self.previous
        } else {
            &self.key
        }
    }
}

/// Without the key.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// How a machine becomes a terminal.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// What it shows. Without it there is nothing to show, and nothing is tried.
    pub application: Option<Application>,
    /// Where the identity is kept.
    pub file: IdentityFile,
    /// To whom it is given.
    pub hardware: Hardware,
}

impl Enrolment {
    /// What the file says from then on.
    #[must_use]
    pub fn identity(&self, access: &Access, welcome: Welcome) -> Identity {
        Identity {
            terminal: welcome.enrolled.terminal,
            key: welcome.enrolled.key,
            server: format!("{}:{}", access.host, access.port),
            school: welcome.enrolled.school,
            hardware: Some(self.hardware.clone()),
            enrolled_at: welcome.server_time_ms.div_euclid(1_000),
            previous_key: String::new(),
        }
    }
}

/// What the driver is told.
pub(crate) enum Link {
    /// Connected; what is to be said goes through this client, as this terminal. True where the broker takes a number
    /// for a topic.
    Up(String, AsyncClient, bool),
    /// No network, or no server.
    Down(String),
    /// Something else answers in the server's place.
    Impostor(String),
    /// The server refuses this terminal's key.
    Denied(String),
    /// The machine is no terminal, and why.
    NotEnrolled(String),
    /// The machine is a terminal now.
    Enrolled(Identity),
    /// The service has answered.
    Ack(Ack),
}

/// The task's state.
pub(crate) struct Line {
    pub(crate) access: Access,
    pub(crate) login: Option<Login>,
    pub(crate) enrolment: Option<Enrolment>,
    pub(crate) links: mpsc::Sender<Link>,
    pub(crate) random: StdRng,
    /// Over how long terminals are spread.
    pub(crate) jitter: Duration,
}

/// Why the line is down for a moment after a renewal.
const RENEWED: &str = "the key is renewed; connecting with the new one";

/// The driver is gone.
struct Over;

impl Line {
    /// Waits for `first`, then connects, again and again, until the driver is gone.
    pub(crate) async fn keep(mut self, first: Duration) {
        sleep(first).await;
        if self.recognise().await.is_err() {
            return;
        }
        loop {
            let ended = match self.login.clone() {
                Some(login) => self.speak(&login).await,
                None => self.join().await,
            };
            if ended.is_err() {
                return;
            }
        }
    }

    /// Waits until the server can be recognised: nothing is sent before.
    async fn recognise(&mut self) -> Result<(), Over> {
        let mut pause = RETRY.0;
        while let Err(hitch) = self.access.ready() {
            self.say(link(hitch, 0)).await?;
            sleep(self.spread(pause)).await;
            pause = (pause * 2).min(RETRY.1);
        }
        Ok(())
    }

    async fn say(&self, link: Link) -> Result<(), Over> {
        self.links.send(link).await.map_err(|_gone| Over)
    }

    /// A part of a pause, so that a school's terminals spread out.
    fn spread(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.random.random_range(0.0..1.0))
    }

    /// Asks until the machine is a terminal.
    async fn join(&mut self) -> Result<(), Over> {
        let mut pause = RETRY.0;
        loop {
            match self.enrol_once().await {
                Ok(()) => return Ok(()),
                Err(link) => {
                    let longest = match &link {
                        Attempt::Hitch(_) => RETRY.1,
                        Attempt::Refused(_) => UNWANTED,
                        Attempt::Code(_) | Attempt::NoCode => REFUSED,
                    };
                    let spread = match &link {
                        Attempt::Code(_) | Attempt::NoCode => {
                            REFUSED.mul_f64(self.random.random_range(0.8..1.2))
                        }
                        _ => self.spread(pause),
                    };
                    self.say(link.into()).await?;
                    sleep(spread).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// One attempt. What was answered is kept before it is used.
    async fn enrol_once(&mut self) -> Result<(), Attempt> {
        let Some(enrolment) = &self.enrolment else {
            return Err(Attempt::NoCode);
        };
        let Some(application) = &enrolment.application else {
            return Err(Attempt::NoCode);
        };
        let welcome = enrol::enrol(&self.access, application, self.random.random()).await?;
        let identity = enrolment.identity(&self.access, welcome);
        self.login = Some(Login::from(&identity));
        if let Err(error) = enrolment.file.save(&identity) {
            warn!(%error, "the identity can't be kept: this machine enrols again when it starts next");
        }
        info!(
            terminal = identity.terminal,
            school = identity.school,
            "enrolled"
        );
        // A driver that is gone is noticed at the next word.
        drop(self.links.send(Link::Enrolled(identity)).await);
        Ok(())
    }

    /// Connects as a terminal, until its key is another's.
    async fn speak(&mut self, login: &Login) -> Result<(), Over> {
        let options = match self.options(login) {
            Ok(options) => options,
            Err(hitch) => return self.say(link(hitch, 0)).await,
        };
        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        let (mut pause, mut cuts, mut with_previous) = (RETRY.0, 0, false);
        let mut up_since: Option<Instant> = None;
        let mut denied = Denied::default();
        let mut renewed: Option<Instant> = None;
        // By when the broker must have said something.
        let mut answer: Option<Instant> = None;
        loop {
            let hitch = match poll(&mut events, answer).await {
                Ok(Event::Incoming(packet)) => {
                    answer = None;
                    let link = match packet {
                        Packet::ConnAck(welcome) => {
                            up_since = Some(Instant::now());
                            (denied, cuts) = (Denied::default(), 0);
                            let numbers = welcome.properties.and_then(|it| it.topic_alias_max);
                            let numbers = numbers.is_some_and(|most| most >= REPORT_ALIAS);
                            Link::Up(login.terminal.clone(), client.clone(), numbers)
                        }
                        Packet::Publish(publish) => match Ack::decode(publish.payload) {
                            Ok(ack) if ack.renew_key && is_due(renewed) => {
                                self.say(Link::Ack(ack)).await?;
                                renewed = Some(Instant::now());
                                let shown = login.shown(with_previous);
                                if self.renew(&login.terminal, shown).await {
                                    part(&client, &mut events).await;
                                    return self.say(Link::Down(RENEWED.to_owned())).await;
                                }
                                // What was awaited may have come meanwhile.
                                answer = None;
                                continue;
                            }
                            Ok(ack) => Link::Ack(ack),
                            Err(foreign) => {
                                debug!(%foreign, "an acknowledgement can't be read");
                                continue;
                            }
                        },
                        _ => continue,
                    };
                    self.say(link).await?;
                    continue;
                }
                // Without a number it is a report that nobody answers.
                Ok(Event::Outgoing(Outgoing::Publish(0))) => continue,
                Ok(Event::Outgoing(Outgoing::Publish(_) | Outgoing::PingReq)) => {
                    answer.get_or_insert(Instant::now() + ANSWER);
                    continue;
                }
                Ok(Event::Outgoing(_)) => continue,
                Err(hitch) => hitch,
            };
            answer = None;
            forget(&mut events);
            if up_since.take().is_some_and(|since| since.elapsed() >= GOOD) {
                pause = self.jitter.clamp(RETRY.0, SPREAD);
            }
            cuts = match hitch {
                Hitch::Cut(_) => cuts + 1,
                _ => 0,
            };
            let unwanted = matches!(hitch, Hitch::Login(_));
            self.say(link(hitch, cuts)).await?;
            if unwanted && denied.once_more() && self.enrol_once().await.is_ok() {
                return Ok(());
            }
            if unwanted && !login.previous.is_empty() {
                // A broker that learns of new keys late takes the old one until then.
                with_previous = !with_previous;
                let shown = login.shown(with_previous);
                events.options.set_credentials(&login.terminal, shown);
            }
            sleep(self.spread(pause)).await;
            pause = (pause * 2).min(if unwanted { UNWANTED } else { RETRY.1 });
        }
    }

    /// Gets the key that holds from now on. True where it is a new one, which is kept before it is used.
    /// The one that is shown holds until then, and is kept beside the new one, however often this is cut off.
    async fn renew(&mut self, terminal: &str, shown: &str) -> bool {
        let Some(enrolment) = &self.enrolment else {
            return false;
        };
        let mut identity = match enrolment.file.look().said {
            Some(identity) if identity.terminal == terminal => identity,
            _ => return false,
        };
        let before = identity.key.clone();
        let keep = |key: &str| {
            shown.clone_into(&mut identity.previous_key);
            key.clone_into(&mut identity.key);
            enrolment.file.save(&identity)
        };
        let random = self.random.random();
        match enrol::renew(&self.access, terminal, shown, random, keep).await {
            Ok(()) if identity.key != before => {
                info!(terminal, "the key is renewed");
                self.login = Some(Login::from(&identity));
                true
            }
            Ok(()) => false,
            Err(error) => {
                warn!(%error, "the key could not be renewed; the old one holds");
                false
            }
        }
    }

    fn options(&self, login: &Login) -> Result<MqttOptions, Hitch> {
        let mut mqtt = self.access.options(&login.terminal, &login.key)?;
        mqtt.set_last_will(LastWill::new(
            topic::of(&login.terminal, Channel::State),
            state_message(false, 0),
            QoS::AtLeastOnce,
            true,
            None,
        ));
        Ok(mqtt)
    }
}

/// Whether it is time to renew a key, after a try.
fn is_due(tried: Option<Instant>) -> bool {
    tried.is_none_or(|at| at.elapsed() >= RENEW_AGAIN)
}

/// Ends a connection in order, as far as the broker lets it.
async fn part(client: &AsyncClient, events: &mut EventLoop) {
    if client.try_disconnect().is_ok() {
        let gone = async { while events.poll().await.is_ok() {} };
        drop(tokio::time::timeout(GOODBYE, gone).await);
    }
}

/// The next event; where nothing is heard by `answer`, the connection is dead.
async fn poll(events: &mut EventLoop, answer: Option<Instant>) -> Result<Event, Hitch> {
    let polled = match answer {
        None => Ok(events.poll().await),
        Some(at) => timeout_at(at, events.poll()).await,
    };
    match polled {
        Ok(Ok(event)) => Ok(event),
        Ok(Err(error)) => Err(Hitch::from(&error)),
        Err(_late) => {
            events.clean();
            Err(Hitch::Away("the connection is dead: no answer".to_owned()))
        }
    }
}

/// Reports repeat themselves; nothing of the old connection needs to be said again.
fn forget(events: &mut EventLoop) {
    events.state.events.clear();
    events.state.collision = None;
    events.pending.clear();
}

fn link(hitch: Hitch, cuts: u32) -> Link {
    match hitch {
        Hitch::Cut(why) if cuts >= CUTS => Link::Impostor(why),
        Hitch::Away(why) | Hitch::Cut(why) => Link::Down(why),
        Hitch::Impostor(why) => Link::Impostor(why),
        Hitch::Login(why) => Link::Denied(why),
    }
}

/// How often a key was refused in a row.
#[derive(Default)]
struct Denied {
    since: Option<Instant>,
    times: u32,
}

impl Denied {
    /// True where it is time to enrol again. Then counting begins anew: the next attempt is as far away.
    fn once_more(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.times += 1;
        let lost = self.times >= LOST_KEY.0 && since.elapsed() >= LOST_KEY.1;
        if lost {
            *self = Self::default();
        }
        lost
    }
}

/// Why an attempt to enrol came to nothing.
enum Attempt {
    Hitch(Hitch),
    Refused(String),
    Code(String),
    NoCode,
}

impl From<EnrolError> for Attempt {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Hitch(hitch) => Self::Hitch(hitch),
            EnrolError::Code | EnrolError::Malformed => Self::Code(error.to_string()),
            EnrolError::Busy
            | EnrolError::Silence
            | EnrolError::Garbled
            | EnrolError::NotKept(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<Attempt> for Link {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Hitch(Hitch::Impostor(why)) => Self::Impostor(why),
            Attempt::Hitch(hitch) => Self::Down(hitch.words().to_owned()),
            Attempt::Refused(why) | Attempt::Code(why) => Self::NotEnrolled(why),
            Attempt::NoCode => Self::NotEnrolled("there is no enrolment code".to_owned()),
        }
    }
}

pub(crate) fn state_message(online: bool, since: i64) -> Vec<u8> {
    State { online, since }.encode_to_vec()
}

#[cfg(test)]
mod tests;
