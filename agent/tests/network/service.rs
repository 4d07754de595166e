//! The service's side of a test: answers requests for enrolment as it is told, and hears reports.

use classpulse_agent::{
    access::Access,
    clock::{Clock as _, SystemClock},
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{Ack, EnrolRequest, EnrolResponse, Report},
};
use prost::Message as _;
use rumqttc::v5::{
    AsyncClient, Event,
    mqttbytes::{QoS, v5::Packet},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, timeout},
};

/// What came to the service, under which name.
pub(crate) enum Came {
    Asked(EnrolRequest),
    Reported(String, Report),
}

pub(crate) struct Service {
    pub(crate) came: mpsc::UnboundedReceiver<Came>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    /// Answers every request with what `answer` makes of it; `None` is silence. Every report is acknowledged.
    pub(crate) async fn start(
        access: &Access,
        answer: impl Fn(&EnrolRequest) -> Option<EnrolResponse> + Send + 'static,
    ) -> Self {
        let (client, mut events) =
            AsyncClient::new(access.options("service", "service").unwrap(), 64);
        for filter in [topic::ALL_ENROLS, topic::ALL_REPORTS] {
            client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        }
        let (tell, came) = mpsc::unbounded_channel();
        let (ready, mut listening) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let publish = match events.poll().await.unwrap() {
                    Event::Incoming(Packet::Publish(publish)) => publish,
                    Event::Incoming(Packet::SubAck(_)) => {
                        ready.send(()).unwrap();
                        continue;
                    }
                    _ => continue,
                };
                let name = String::from_utf8(publish.topic.to_vec()).unwrap();
                let (name, channel) = topic::parse(&name).unwrap();
                let (to, answer) = if channel == Channel::Enrol {
                    let request = EnrolRequest::decode(publish.payload).unwrap();
                    let answer = answer(&request).map(|answer| answer.encode_to_vec());
                    tell.send(Came::Asked(request)).ok();
                    (Channel::Enrolled, answer)
                } else {
                    let report = Report::decode(publish.payload).unwrap();
                    let ack = Ack {
                        boot_id: report.boot_id.clone(),
                        sequences: vec![report.sequence],
                        server_time_ms: SystemClock.now().wall_ms,
                        ..Ack::default()
                    };
                    tell.send(Came::Reported(name.to_owned(), report)).ok();
                    (Channel::Ack, Some(ack.encode_to_vec()))
                };
                if let Some(answer) = answer {
                    let to = topic::of(name, to);
                    client
                        .try_publish(to, QoS::AtLeastOnce, false, answer)
                        .unwrap();
                }
            }
        });
        for _ in 0..2 {
            timeout(Duration::from_secs(10), listening.recv())
                .await
                .unwrap();
        }
        Self { came, task }
    }

    /// The next report with sessions, and who sent it: the first waits for the time.
    pub(crate) async fn report(&mut self) -> (String, Report) {
        loop {
            let came = timeout(Duration::from_secs(30), self.came.recv());
            if let Came::Reported(name, report) = came.await.unwrap().unwrap()
                && !report.sessions.is_empty()
            {
                return (name, report);
            }
        }
    }
}
