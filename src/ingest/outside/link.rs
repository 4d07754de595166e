//! What a connection to a broker must do for us, in our own words: one small seam, so that the MQTT client behind it
//! can be swapped.
//!
//! Not responsible for when to connect or what to answer (`super`).

use bytes::Bytes;

/// A connection that is made anew whenever it is polled after a loss.
pub(super) trait Connection: Send + 'static {
    /// Says things over this connection.
    type Client: Client;

    /// Waits for what comes next. Not safe to cancel.
    fn next(
        &mut self,
    ) -> impl Future<Output = Result<Heard<<Self::Client as Client>::Publish>, String>> + Send;

    /// Forgets what was read or was to be said on a connection that is gone.
    fn forget(&mut self);
}

/// Says things without waiting. Cheap to clone.
pub(super) trait Client: Clone + Send + Sync + 'static {
    /// A message as it came, to be acknowledged.
    type Publish: Send + Sync + 'static;

    /// Asks for reports, each kept until it is acknowledged (QoS 1) or not; false where there is no room for the request.
    fn subscribe(&self, filter: &str, keep: bool) -> bool;

    /// Tells the broker that a message is safe (nothing for one that needs no answer); false where there is no room.
    fn acknowledge(&self, publish: &Self::Publish) -> bool;

    /// Publishes at most once: what is said is said again when it is needed. False where there is no room.
    fn tell(&self, topic: String, payload: Vec<u8>) -> bool;

    /// Publishes at least once: for an answer that is given once. False where there is no room.
    fn answer(&self, topic: String, payload: Vec<u8>) -> bool;

    /// Leaves in order, keeping the session, but not the subscriptions that are named.
    fn leave(&self, unsubscribe: &'static [&'static str]) -> impl Future<Output = ()> + Send;
}

/// What came over a connection.
#[derive(Debug)]
pub(super) enum Heard<P> {
    /// Connected; whether the broker kept our session.
    Connected {
        /// The broker remembers what was not acknowledged.
        resumed: bool,
    },
    /// The broker won't let us read reports.
    NotSubscribed(String),
    /// A message on any topic.
    Message(Message<P>),
    /// Nothing that concerns us.
    Nothing,
}

/// One message.
#[derive(Debug)]
pub(super) struct Message<P> {
    /// The topic's bytes, as they came.
    pub(super) topic: Bytes,
    /// What it says.
    pub(super) payload: Bytes,
    /// For its acknowledgement.
    pub(super) publish: P,
}
