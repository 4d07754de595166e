//! `tls init`: a private authority for a county without one, and the server's certificate by it. Nothing that is there is
//! ever overwritten: with the authority there, a new server certificate is made by it.
//!
//! Not responsible for using them (`tls`).

use std::path::{Path, PathBuf};

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;

use super::{
    FAILED, Failure, REFUSED,
    args::TlsInitArgs,
    files::{self, PRIVATE, PUBLIC},
    output::{self, print},
};

/// What the authority is called; agents know it by its key, not by this.
const AUTHORITY: &str = "Classpulse CA";

/// Agents keep the authority as long as a machine lives.
const AUTHORITY_YEARS: i64 = 20;

/// Then `tls init` makes a new one, by the same authority.
const SERVER_YEARS: i64 = 5;

/// Clocks of old machines run behind.
const BEFORE_DAYS: i64 = 30;

const FILES: [&str; 4] = ["ca.pem", "ca.key", "server.pem", "server.key"];

fn wrong(error: &rcgen::Error) -> Failure {
    Failure::said(FAILED, format!("the certificate can't be made: {error}"))
}

/// Makes what is missing.
pub(super) fn init(arguments: &TlsInitArgs, now: Timestamp, as_json: bool) -> Result<(), Failure> {
    let [authority, authority_key, server, server_key] = FILES.map(|name| arguments.dir.join(name));
    for path in [&server, &server_key] {
        if path.exists() {
            let said = format!(
                "{} is there already and is not overwritten: for a new certificate by the same authority move \
                 server.pem and server.key away",
                path.display()
            );
            return Err(Failure::said(REFUSED, said));
        }
    }
    let old = match (authority.exists(), authority_key.exists()) {
        (true, true) => true,
        (false, false) => false,
        _ => {
            let said = format!(
                "{} needs both ca.pem and ca.key, or neither",
                arguments.dir.display()
            );
            return Err(Failure::said(REFUSED, said));
        }
    };
    let key = if old {
        read_key(&authority_key)?
    } else {
        KeyPair::generate().map_err(|error| wrong(&error))?
    };
    let params = authority_params(now)?;
    let mut made = Vec::new();
    if !old {
        let certificate = params.self_signed(&key).map_err(|error| wrong(&error))?;
        made.push((authority_key, key.serialize_pem(), PRIVATE));
        made.push((authority.clone(), certificate.pem(), PUBLIC));
    }
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().map_err(|error| wrong(&error))?;
    let certificate = server_params(&arguments.name, now)?
        .signed_by(&own, &issuer)
        .map_err(|error| wrong(&error))?;
    made.push((server_key.clone(), own.serialize_pem(), PRIVATE));
    made.push((server.clone(), certificate.pem(), PUBLIC));

    files::folder(&arguments.dir)?;
    let prepared: Vec<_> = made
        .into_iter()
        .map(|(path, text, mode)| files::prepare(path, &text, mode))
        .collect::<Result<_, _>>()?;
    let mut written = Vec::new();
    for file in prepared {
        match file.add() {
            Ok(path) => written.push(path),
            Err(failure) => {
                // Half of a pair is of no use to anybody.
                for path in &written {
                    drop(std::fs::remove_file(path));
                }
                return Err(failure);
            }
        }
    }
    tell(&written, [&authority, &server, &server_key], as_json)
}

fn tell(
    written: &[PathBuf],
    [authority, server, key]: [&PathBuf; 3],
    as_json: bool,
) -> Result<(), Failure> {
    if as_json {
        return output::json(&json!({ "files": written, "authority": authority }));
    }
    for path in written {
        print(&format!("已写入 {}", path.display()));
    }
    print(&format!(
        "\n服务配置:\n[tls]\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n\n终端配置:ca_file 指向 {} 的副本。\n\
         ca.key 可签发任何服务器证书,请离线妥善保管。",
        server.display(),
        key.display(),
        authority.display()
    ));
    Ok(())
}

fn read_key(path: &Path) -> Result<KeyPair, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::said(FAILED, format!("{name}: {error}")))?;
    KeyPair::from_pem(&text)
        .map_err(|error| Failure::said(REFUSED, format!("{name} is no private key: {error}")))
}

fn authority_params(now: Timestamp) -> Result<CertificateParams, Failure> {
    let mut params = params(AUTHORITY, &[], now, AUTHORITY_YEARS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params(names: &[String], now: Timestamp) -> Result<CertificateParams, Failure> {
    let mut all = names.to_vec();
    for own in ["localhost", "127.0.0.1", "::1"] {
        if !all.iter().any(|name| name == own) {
            all.push(own.to_owned());
        }
    }
    let first = names.first().map_or("localhost", String::as_str);
    let mut params = params(first, &all, now, SERVER_YEARS)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(
    called: &str,
    names: &[String],
    now: Timestamp,
    years: i64,
) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| {
        let said =
            format!("--name: {error}; a host name such as classpulse.example, or an address");
        Failure::said(super::USAGE, said)
    })?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, called);
    params.distinguished_name = name;
    let today = TimeZone::UTC.to_datetime(now).date();
    let day = |date: jiff::civil::Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = day(today.saturating_sub(Span::new().days(BEFORE_DAYS)));
    params.not_after = day(today.saturating_add(Span::new().years(years)));
    Ok(params)
}
