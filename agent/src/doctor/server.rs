//! The way to the server, step by step: the first step that fails says what is wrong, and the later ones are not tried.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use classpulse_proto::topic;
use rumqttc::v5::{AsyncClient, Event, mqttbytes::v5::Packet};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use serde_json::Value;

use super::{Check, Finding, Mend, Outcome};
use crate::{
    access::{Access, Hitch, Trust},
    config::Config,
    identity::{Identity, IdentityFile},
    run,
};

/// The longest wait for each step.
const WAIT: Duration = Duration::from_secs(8);

/// Name, network, certificate, login.
pub(super) async fn way(config: &Config, agent: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let access = run::access(config, 0);
    let mut step = |check, outcome: Outcome| {
        let on = !matches!(outcome, Outcome::Wrong(..));
        findings.push(Finding::new(check, outcome));
        on
    };
    let (name, addresses) = name(&access.host, access.port);
    if !step(Check::Name, name) {
        return findings;
    }
    let (reach, stream) = reach(&addresses);
    if !step(Check::Reach, reach) {
        return findings;
    }
    let certificate = match (&access.trust, stream) {
        (Trust::Plain, _) => Outcome::Untold("plain text: no `ca_file`".to_owned()),
        (Trust::Broken(unread), _) => Outcome::Wrong(unread.why().to_owned(), Mend::Authority),
        (Trust::Authority(tls), Some(stream)) => certificate(access.name(), tls, stream),
        (Trust::Authority(_), None) => Outcome::Untold("not reached".to_owned()),
    };
    if !step(Check::Certificate, certificate) {
        return findings;
    }
    let login = match agent["connection"]["state"].as_str() {
        // Two connections of one terminal throw each other out.
        Some(state) => of_agent(state, agent["last_error"]["what"].as_str()),
        None => login(config, &access).await,
    };
    step(Check::Login, login);
    findings
}

pub(super) fn name(host: &str, port: u16) -> (Outcome, Vec<SocketAddr>) {
    match (host.trim_matches(['[', ']']), port).to_socket_addrs() {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            let words: Vec<String> = addresses.iter().map(|at| at.ip().to_string()).collect();
            (Outcome::Well(words.join(", ")), addresses)
        }
        Err(error) => (
            Outcome::Wrong(format!("{host}: {error}"), Mend::Name),
            Vec::new(),
        ),
    }
}

pub(super) fn reach(addresses: &[SocketAddr]) -> (Outcome, Option<TcpStream>) {
    let mut why = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(address, WAIT) {
            Ok(stream) => return (Outcome::Well(address.to_string()), Some(stream)),
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    (Outcome::Wrong(why, Mend::Reach), None)
}

pub(super) fn certificate(host: &str, tls: &Arc<ClientConfig>, mut stream: TcpStream) -> Outcome {
    match handshake(host, tls, &mut stream) {
        Ok(()) => Outcome::Well("the county's".to_owned()),
        Err(error) => match error
            .get_ref()
            .and_then(|it| it.downcast_ref::<rustls::Error>())
        {
            Some(wrong) => Outcome::Wrong(wrong.to_string(), Mend::Impostor),
            None => Outcome::Wrong(error.to_string(), Mend::TlsCut),
        },
    }
}

fn handshake(host: &str, tls: &Arc<ClientConfig>, stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(stream)?;
    }
    Ok(())
}

pub(super) fn of_agent(state: &str, why: Option<&str>) -> Outcome {
    let why = || why.unwrap_or(state).to_owned();
    match state {
        "up" => Outcome::Well("the agent is connected".to_owned()),
        "denied" => Outcome::Wrong(why(), Mend::KeyRefused),
        "not_enrolled" => Outcome::Wrong(why(), Mend::CodeRefused),
        "impostor" => Outcome::Wrong(why(), Mend::Impostor),
        "down" => Outcome::Wrong(why(), Mend::Reach),
        _ => Outcome::Untold("the agent has not tried yet".to_owned()),
    }
}

/// Connects once, and goes: as the terminal, or with the code.
async fn login(config: &Config, access: &Access) -> Outcome {
    let identity = IdentityFile::new(config.identity.clone()).look().said;
    let enrolled = identity.filter(Identity::is_enrolled);
    let (name, password, mend) = match (&config.terminal, enrolled, &config.code) {
        (Some(terminal), ..) => (terminal.clone(), String::new(), Mend::KeyRefused),
        (None, Some(identity), _) => (identity.terminal, identity.key, Mend::KeyRefused),
        (None, None, Some(code)) => (
            topic::passing(rand::random()),
            code.clone(),
            Mend::CodeRefused,
        ),
        (None, None, None) => return Outcome::Untold("nothing to log in with".to_owned()),
    };
    let options = match access.options(&name, &password) {
        Ok(options) => options,
        Err(hitch) => return Outcome::Wrong(hitch.words().to_owned(), Mend::Authority),
    };
    let (client, mut events) = AsyncClient::new(options, 1);
    let met = tokio::time::timeout(WAIT, async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(Hitch::from(&error)),
            }
        }
    });
    let outcome = match met.await {
        Ok(Ok(())) => Outcome::Well(format!("as {name}")),
        Ok(Err(Hitch::Login(why))) => Outcome::Wrong(why, mend),
        Ok(Err(Hitch::Impostor(why))) => Outcome::Wrong(why, Mend::Impostor),
        Ok(Err(hitch)) => Outcome::Wrong(hitch.words().to_owned(), Mend::Reach),
        Err(_late) => Outcome::Wrong("no answer".to_owned(), Mend::Reach),
    };
    if client.try_disconnect().is_ok() {
        let gone = async { while events.poll().await.is_ok() {} };
        drop(tokio::time::timeout(Duration::from_secs(1), gone).await);
    }
    outcome
}
