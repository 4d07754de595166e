//! RMQTT 0.24 as `rmqttd` puts it together: its settings, its listeners, its plugins, and those of them started that the
//! configuration names or that RMQTT starts unless the configuration forbids it.
//!
//! Not here: its cluster, its bridges, its web API.

use clap::Parser as _;
use rmqtt::{
    Result,
    context::ServerContext,
    net::{Builder, tls_provider},
    node::Node,
    server::MqttServer,
};
use rmqtt_conf::{Options, Settings, listener::Listener};

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let conf = Settings::init(Options::parse())?;
    tls_provider::default_provider()
        .install_default()
        .map_err(|_| rmqtt::Error::msg("TLS has a provider already"))?;
    let busy = &conf.node.busy;
    let context = ServerContext::new()
        .node(Node::new(
            conf.node.id,
            busy.loadavg,
            busy.cpuloadavg,
            busy.update_interval,
        ))
        .task_exec_workers(conf.task.exec_workers)
        .task_exec_queue_max(conf.task.exec_queue_max)
        .busy_check_enable(busy.check_enable)
        .busy_handshaking_limit(busy.handshaking)
        .mqtt_max_sessions(conf.mqtt.max_sessions)
        .plugins_config_dir(conf.plugins.dir.as_str())
        .build()
        .await;
    let mut server = MqttServer::new(context.clone());
    plugins(&context).await?;
    for listener in conf.listeners.tcps.values() {
        server = server.listener(builder(listener).bind()?.tcp()?);
    }
    for listener in conf.listeners.tlss.values() {
        server = server.listener(builder(listener).bind()?.tls()?);
    }
    server.build().start();
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// As `rmqttd` registers them: `rmqtt-acl` starts by itself.
async fn plugins(context: &ServerContext) -> Result<()> {
    let named = &Settings::instance().plugins;
    let starts = |name: &str, by_itself: bool| {
        let is_in = |list: &[String]| list.iter().any(|it| it == name);
        (by_itself || is_in(&named.default_startups)) && !is_in(&named.disabled_default_startups)
    };
    macro_rules! register {
        ($($plugin:ident $name:literal $by_itself:literal),+ $(,)?) => {
            $($plugin::register_named(context, $name, starts($name, $by_itself), false).await?;)+
        };
    }
    register!(
        rmqtt_acl "rmqtt-acl" true,
        rmqtt_retainer "rmqtt-retainer" false,
        rmqtt_auth_http "rmqtt-auth-http" false,
        rmqtt_shared_subscription "rmqtt-shared-subscription" false,
        rmqtt_topic_rewrite "rmqtt-topic-rewrite" false,
    );
    Ok(())
}

/// Everything that a listener's section says.
fn builder(conf: &Listener) -> Builder {
    Builder::new()
        .name(conf.name.as_str())
        .laddr(conf.addr)
        .max_connections(conf.max_connections)
        .max_handshaking_limit(conf.max_handshaking_limit)
        .max_packet_size(conf.max_packet_size.as_u32())
        .backlog(conf.backlog)
        .nodelay(conf.nodelay)
        .reuseaddr(conf.reuseaddr)
        .reuseport(conf.reuseport)
        .tcp_keepalive(conf.tcp_keepalive)
        .allow_anonymous(conf.allow_anonymous)
        .min_keepalive(conf.min_keepalive)
        .max_keepalive(conf.max_keepalive)
        .allow_zero_keepalive(conf.allow_zero_keepalive)
        .keepalive_backoff(conf.keepalive_backoff)
        .max_inflight(conf.max_inflight)
        .handshake_timeout(conf.handshake_timeout)
        .max_mqueue_len(conf.max_mqueue_len)
        .mqueue_rate_limit(conf.mqueue_rate_limit.0, conf.mqueue_rate_limit.1)
        .max_clientid_len(conf.max_clientid_len)
        .max_qos_allowed(conf.max_qos_allowed)
        .max_topic_levels(conf.max_topic_levels)
        .session_expiry_interval(conf.session_expiry_interval)
        .max_session_expiry_interval(conf.max_session_expiry_interval)
        .message_retry_interval(conf.message_retry_interval)
        .message_expiry_interval(conf.message_expiry_interval)
        .max_subscriptions(conf.max_subscriptions)
        .max_topic_aliases(conf.max_topic_aliases)
        .tls_cross_certificate(conf.cross_certificate)
        .tls_cert(conf.cert.clone())
        .tls_key(conf.key.clone())
        .tls_client_ca_certs(conf.client_ca_certs.clone())
        .limit_subscription(conf.limit_subscription)
        .proxy_protocol(conf.proxy_protocol)
        .proxy_protocol_timeout(conf.proxy_protocol_timeout)
}
