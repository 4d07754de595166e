//! rumqttc's MQTT 5 client behind our seam.

use std::sync::Arc;

use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, Publish, SubscribeReasonCode},
        },
    },
};

use super::{
    ANSWERS, KEEP_ALIVE, MAX_PACKET, Outside, RECEIVE_MAXIMUM, REQUESTS, SESSION_ALONE,
    SESSION_SHARED,
    link::{Client, Connection, Heard, Message},
};

pub(super) fn connect(outside: &Outside) -> (AsyncClient, Link) {
    let mut options = MqttOptions::new(
        outside.client_id.clone(),
        outside.host.clone(),
        outside.port,
    );
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_start(false);
    let session = if outside.shared {
        SESSION_SHARED
    } else {
        SESSION_ALONE
    };
    options.set_session_expiry_interval(u32::try_from(session.as_secs()).ok());
    options.set_receive_maximum(Some(RECEIVE_MAXIMUM));
    options.set_max_packet_size(u32::try_from(MAX_PACKET).ok());
    options.set_manual_acks(true);
    // Of what we publish only answers to enrolments wait for a word; the client reserves room for as many as may.
    options.set_outgoing_inflight_upper_limit(ANSWERS);
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
            Event::Incoming(Packet::SubAck(ack)) => ack
                .return_codes
                .iter()
                .find(|code| !matches!(code, SubscribeReasonCode::Success(_)))
                .map_or(Heard::Nothing, |code| {
                    Heard::NotSubscribed(format!("{code:?}"))
                }),
            Event::Incoming(Packet::Publish(mut publish)) => Heard::Message(Message {
                topic: std::mem::take(&mut publish.topic),
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
