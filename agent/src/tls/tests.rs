//! Which certificates are believed, whatever the clock says.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

const NAME: &str = "county.example";
/// 2030-01-01, within all that is made here.
const RIGHT: u64 = 1_893_456_000;

/// 2028-06-01: the last known time.
const SINCE: u64 = 1_843_430_400;

struct County {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// An authority whose certificate holds from 2027 to 2040.
fn county() -> County {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2027, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    let key = KeyPair::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    fs::write(folder.path().join("ca.pem"), pem).unwrap();
    County {
        issuer: Issuer::new(params, key),
        folder,
    }
}

impl County {
    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server's certificate that holds in these years.
    fn server(&self, years: std::ops::Range<i32>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }
}

fn verdict(
    county: &County,
    certificate: &CertificateDer<'_>,
    name: &str,
    now: u64,
    vouched: fn() -> bool,
) -> Result<(), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let dates = Dates {
        vouched,
        since: SINCE,
    };
    let pinned = pinned(&county.file(), dates, &provider).unwrap();
    let name = ServerName::try_from(name).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    pinned
        .verify_server_cert(certificate, &[], &name, &[], now)
        .map(drop)
}

#[test]
fn the_countys_server_is_known_and_no_other() {
    let (county, other) = (county(), self::county());
    let (own, foreign) = (county.server(2028..2032), other.server(2028..2032));
    for vouched in [(|| true) as fn() -> bool, || false] {
        assert!(verdict(&county, &own, NAME, RIGHT, vouched).is_ok());
        for now in [0, RIGHT, 4_000_000_000] {
            assert!(verdict(&county, &foreign, NAME, now, vouched).is_err());
            assert!(verdict(&county, &own, "elsewhere.example", now, vouched).is_err());
        }
    }
}

#[test]
fn dates_are_judged_by_a_clock_that_somebody_vouches_for_and_by_no_other() {
    let county = county();
    // 1970, 2000, 2018, 2027, 2050.
    let wrong = [0, 946_684_800, 1_514_764_800, 1_811_808_000, 2_524_608_000];
    let server = county.server(2028..2032);
    for now in wrong {
        assert!(
            verdict(&county, &server, NAME, now, || true).is_err(),
            "{now}"
        );
        assert!(
            verdict(&county, &server, NAME, now, || false).is_ok(),
            "{now}"
        );
    }
}

#[test]
fn what_ended_before_the_last_known_time_is_nobodys() {
    let county = county();
    for (years, ok) in [
        (2027..2028, false),
        (2027..2029, true),
        (2029..2032, true),
        (2035..2036, true),
    ] {
        let server = county.server(years.clone());
        for now in [0, RIGHT, 2_524_608_000] {
            let verdict = verdict(&county, &server, NAME, now, || false);
            assert_eq!(verdict.is_ok(), ok, "{years:?} at {now}");
        }
    }
}

#[test]
fn a_wrong_file_is_named() {
    let county = county();
    let dates = Dates {
        vouched: || true,
        since: 0,
    };
    assert!(client(&county.file(), dates).is_ok());
    for (name, text) in [
        ("empty.pem", ""),
        ("words.pem", "no certificate"),
        ("missing.pem", "-"),
    ] {
        let file = county.folder.path().join(name);
        if text != "-" {
            fs::write(&file, text).unwrap();
        }
        let error = client(&file, dates).err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
    }
}
