//! rumqttc's MQTT 3.1.1 client behind our seam.
//!
//! In this version a client can't tell the broker how much it takes at once, nor how large a message may be: the
//! broker's own settings bound both (`deploy/broker/`). What comes is read whatever its size, for a message that is
//! never acknowledged would come again forever; ingest sends what is too large to quarantine.

use std::sync::Arc;

use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeReasonCode,
    TlsConfiguration, Transport,
};

use super::{
    ANSWERS, KEEP_ALIVE, Outside, REQUESTS,
    link::{Client, Connection, Heard, Message},
};

/// Largest MQTT packet that exists: five bytes of header and 256 MiB.
const LARGEST: usize = 5 + (256 << 20);

pub(super) fn connect(outside: &Outside) -> (AsyncClient, Link) {
    let mut options = MqttOptions::new(
        outside.client_id.clone(),
        outside.host.clone(),
        outside.port,
    );
    options.set_keep_alive(KEEP_ALIVE);
    // The broker would deal an aggregator that is away its share for ever.
    options.set_clean_session(outside.shared);
    options.set_max_packet_size(LARGEST, LARGEST);
    options.set_manual_acks(true);
    // Bounds what is sent, not what comes; of what we publish only answers to enrolments wait for a word.
    options.set_inflight(ANSWERS);
    if let Some((user, password)) = &outside.login {
        options.set_credentials(user, password);
    }
    if let Some(config) = &outside.tls {
        let config = TlsConfiguration::Rustls(Arc::clone(config));
        options.set_transport(Transport::tls_with_config(config));
    }
    let (client, events) = AsyncClient::new(options, REQUESTS);
    (client, Link(events))
}

pub(super) struct Link(EventLoop);

impl Connection for Link {
    type Client = AsyncClient;

    async fn next(&mut self) -> Result<Heard<Publish>, String> {
        let event = self
            .0
            .poll()
            .await
            .map_err(|error| crate::observe::chain(&error))?;
        Ok(match event {
            Event::Incoming(Packet::ConnAck(ack)) => Heard::Connected {
                resumed: ack.session_present,
            },
            Event::Incoming(Packet::SubAck(ack)) => {
                if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                    Heard::NotSubscribed("failure".to_owned())
                } else {
                    Heard::Nothing
                }
            }
            Event::Incoming(Packet::Publish(mut publish)) => Heard::Message(Message {
                topic: std::mem::take(&mut publish.topic).into(),
                payload: std::mem::take(&mut publish.payload),
                publish,
            }),
            _ => Heard::Nothing,
        })
    }

    fn forget(&mut self) {
        self.0.clean();
        self.0.pending.clear();
        self.0.state.events.clear();
    }
}

impl Client for AsyncClient {
    type Publish = Publish;

    fn subscribe(&self, filter: &str, keep: bool) -> bool {
        let qos = if keep {
            QoS::AtLeastOnce
        } else {
            QoS::AtMostOnce
        };
        self.try_subscribe(filter, qos).is_ok()
    }

    fn acknowledge(&self, publish: &Publish) -> bool {
        self.try_ack(publish).is_ok()
    }

    fn tell(&self, topic: String, payload: Vec<u8>) -> bool {
        self.try_publish(topic, QoS::AtMostOnce, false, payload)
            .is_ok()
    }

    fn answer(&self, topic: String, payload: Vec<u8>) -> bool {
        self.try_publish(topic, QoS::AtLeastOnce, false, payload)
            .is_ok()
    }

    async fn leave(&self, unsubscribe: &'static [&'static str]) {
        for filter in unsubscribe {
            drop(self.unsubscribe(*filter).await);
        }
        drop(self.disconnect().await);
    }
}
