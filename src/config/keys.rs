//! Every key of the configuration: its default and what it means. `README.md` and `classpulse config` show this table.
//!
//! Not responsible for what is allowed (the parts of `config` that read a key check it).

/// Every key, with the default that is used where neither file nor environment says otherwise.
/// The environment's name for `broker.listen` is `CLASSPULSE_BROKER_LISTEN`.
pub const KEYS: [(&str, &str, &str); 36] = [
    (
        "time_zone",
        "Asia/Shanghai",
        "IANA time zone in which days begin and end",
    ),
    (
        "store",
        "sqlite:data/classpulse.db",
        "sqlite:FILE or postgres://USER@HOST:PORT/DATABASE",
    ),
    (
        "postgres.password_file",
        "",
        "file that holds the database password, nothing else",
    ),
    (
        "postgres.ca_file",
        "",
        "PEM file of the authority that vouches for the database server; empty for the system's",
    ),
    (
        "postgres.connections",
        "8",
        "most connections to the database, 2 to 100",
    ),
    (
        "api.listen",
        "127.0.0.1:50051",
        "address and port of the dashboard, gRPC, gRPC-Web and /metrics",
    ),
    (
        "api.names",
        "",
        "where nobody must log in: names besides localhost by which the service may be asked, separated by commas; addresses always may, other names are refused lest a page elsewhere speaks through one",
    ),
    (
        "dashboard.actions",
        "false",
        "true lets whoever reaches the dashboard change things there; false only a browser on this machine, where api.listen is loopback",
    ),
    (
        "access.required",
        "auto",
        "whether people must log in and other systems show a token: yes, no, or auto for yes unless api.listen is loopback",
    ),
    (
        "retention.days",
        "0",
        "age in days at which minutes go, once a frozen evaluation holds their period: 90 to 7300, or 0 for never",
    ),
    ("broker.kind", "embedded", "embedded or outside"),
    (
        "broker.listen",
        "127.0.0.1:1883",
        "address and port of the embedded broker",
    ),
    (
        "broker.keys",
        "enrolled",
        "at the embedded broker, enrolled: a terminal that has a key must show it; required: every terminal must have one",
    ),
    (
        "broker.auth_secret_file",
        "",
        "file with the secret (at least 32 characters) that an outside broker shows when it asks /broker/auth and /broker/acl; empty: nobody is answered there",
    ),
    (
        "tls.certificate_file",
        "",
        "PEM file with the certificate of our own listeners (MQTT, gRPC, HTTP), such as `classpulse tls init` makes; empty for plain text",
    ),
    ("tls.key_file", "", "PEM file with its private key"),
    (
        "tls.plain",
        "loopback",
        "where our listeners may speak plain text: loopback, or anywhere (readable and forgeable on the way)",
    ),
    ("broker.host", "127.0.0.1", "host of the outside broker"),
    (
        "broker.port",
        "1883",
        "port of the outside broker, 1 to 65535",
    ),
    (
        "broker.protocol",
        "5",
        "MQTT version at the outside broker: 5, or 3 for MQTT 3.1.1",
    ),
    (
        "broker.tls",
        "false",
        "true for TLS to the outside broker (its port is often 8883)",
    ),
    (
        "broker.ca_file",
        "",
        "with TLS: PEM of the authorities to trust; empty for the system's",
    ),
    (
        "broker.client_cert_file",
        "",
        "with TLS: PEM of our own certificate, if the broker asks for one",
    ),
    (
        "broker.client_key_file",
        "",
        "with TLS: PEM of its private key",
    ),
    (
        "broker.client_id",
        "classpulse-1",
        "client id at the outside broker; each aggregator needs its own",
    ),
    (
        "broker.user",
        "",
        "user name at the outside broker; empty for none",
    ),
    (
        "broker.password_file",
        "",
        "file that holds the password, nothing else",
    ),
    (
        "broker.shared",
        "false",
        "true where several aggregators share the reports",
    ),
    (
        "broker.qos",
        "1",
        "1: the broker keeps each report until it is committed; 0: cheaper, and terminals say again what is dropped",
    ),
    (
        "ingest.linger_ms",
        "20",
        "how long a batch waits for company, 0 to 2000",
    ),
    (
        "terminals.heartbeat_s",
        "0",
        "seconds between reports, told to terminals: 15 to 3600, or 0 to leave it to them",
    ),
    (
        "terminals.idle_s",
        "0",
        "seconds without input that end use, told to terminals: 30 to 3600, or 0 to leave it to them",
    ),
    (
        "rollup.interval_ms",
        "1000",
        "how often averages are brought up to date, 100 to 60000",
    ),
    ("shutdown_s", "10", "how long stopping may take, 1 to 300"),
    (
        "log.filter",
        "info,rmqtt=warn",
        "such as info or classpulse=debug",
    ),
    ("log.format", "text", "text or json"),
];
