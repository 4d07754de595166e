//! Names, tables and configuration of the county that is measured.
//!
//! Not responsible for starting anything (`servers`).

use std::{fmt::Write as _, fs, io, net::TcpListener, path::Path};

use jiff::{Timestamp, ToSpan as _, civil::Date};

/// Terminals of one school.
const PER_SCHOOL: usize = 100;

/// A terminal's id.
pub(crate) fn terminal(index: usize) -> String {
    format!("b-{index:06}")
}

/// The machine's clock, Unix seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "terminals say what their own clock shows"
)]
pub(crate) fn unix_now() -> i64 {
    Timestamp::now().as_second()
}

/// A port of 127.0.0.1 that nobody listens on, as far as can be known beforehand.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Writes the tables that `classpulse import` reads, in the order in which they are to be imported.
pub(crate) fn tables(folder: &Path, terminals: usize, first_day: Date) -> io::Result<[String; 3]> {
    let mut schools = "区县代码,区县名称,乡镇,学校标识码,学校名称,学段\n".to_owned();
    let mut rows = "终端编号,学校标识码,教室,启用日期,停用日期\n".to_owned();
    let in_service = first_day
        .checked_sub(1.day())
        .expect("a day of our calendar");
    for index in 0..terminals {
        let school = index / PER_SCHOOL;
        let code = 2_123_000_000 + school;
        if index.is_multiple_of(PER_SCHOOL) {
            let _ = writeln!(schools, "231123,逊克县,奇克镇,{code},第{school}小学,小学");
        }
        let _ = writeln!(rows, "{},{code},{index},{in_service},", terminal(index));
    }
    let last = first_day
        .checked_add(300.days())
        .expect("a day of our calendar");
    let calendar = format!(
        "name = \"试验\"\n[[term]]\nname = \"第一学期\"\nfirst = \"{first_day}\"\nlast = \"{last}\"\n\
         [[timetable]]\nlessons = [\"08:00-08:40\", \"09:00-09:40\", \"10:00-10:40\", \"13:30-14:10\", \"14:30-15:10\"]\n"
    );
    let files = [
        ("schools.csv", schools),
        ("terminals.csv", rows),
        ("calendar.toml", calendar),
    ];
    for (name, text) in &files {
        fs::write(folder.join(name), text)?;
    }
    Ok(files.map(|(name, _)| folder.join(name).display().to_string()))
}

/// One aggregator's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// As the key `store`.
    pub store: String,
    /// Where gRPC listens.
    pub api: u16,
    /// The embedded broker's port, or the outside one's.
    pub broker: u16,
    /// Its number from 1, and of how many; `None` with the embedded broker.
    pub outside: Option<(usize, usize)>,
    /// Milliseconds.
    pub linger: u64,
}

impl Settings {
    /// As TOML.
    pub(crate) fn text(&self) -> String {
        let Self {
            store,
            api,
            broker,
            linger,
            ..
        } = self;
        let broker = match self.outside {
            None => format!("kind = \"embedded\"\nlisten = \"127.0.0.1:{broker}\""),
            Some((number, of)) => format!(
                "kind = \"outside\"\nhost = \"127.0.0.1\"\nport = {broker}\nclient_id = \"bench-{number}\"\nshared = {}",
                of > 1
            ),
        };
        format!(
            "store = \"{store}\"\nshutdown_s = 60\n[api]\nlisten = \"127.0.0.1:{api}\"\n[broker]\n{broker}\n\
             [ingest]\nlinger_ms = {linger}\n[log]\nfilter = \"info,rmqtt=warn\"\n"
        )
    }
}
