//! The little of D-Bus that asking logind takes: a method call with at most one text, and a reader of the answer.
//!
//! A whole D-Bus crate was measured at 0.43 MB of the program and 0.3 MB of memory, a fifth of what the agent may
//! have. Not responsible for services, signals, file handles, or a bus on another machine.
//! Source: the D-Bus Specification, "Message Protocol" and "Authentication Protocol".

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

/// The longest wait for the bus to be there, and for an answer.
const WAIT: Duration = Duration::from_secs(5);
/// Most bytes of an answer, and of a line of the greeting; logind's have a few thousand.
const MOST: usize = 256 * 1024;
const MOST_LINE: usize = 512;
/// Deepest nesting of a value's type.
const DEEPEST: usize = 16;
/// Bytes of a message before its fields.
const HEAD: usize = 16;

/// Little-endian, as all machines are that terminals are built of.
const LITTLE: u8 = b'l';
/// Kinds of messages.
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
/// Nobody is started for being asked.
const NO_AUTO_START: u8 = 2;
/// Fields of a message's head.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A connection to a message bus.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
}

/// Whom to ask, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method<'a> {
    /// The service's name on the bus.
    pub(super) service: &'a str,
    /// The object's path.
    pub(super) object: &'a str,
    /// The interface's name.
    pub(super) interface: &'a str,
    /// The method's name.
    pub(super) name: &'a str,
}

impl Bus {
    /// Connects to the bus at a socket, as the user of this process.
    pub(super) async fn connect(at: &Path) -> io::Result<Self> {
        timeout(WAIT, async {
            let stream = UnixStream::connect(at).await?;
            let mut bus = Self { stream, serial: 0 };
            bus.greet().await?;
            let hello = Method {
                service: "org.freedesktop.DBus",
                object: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                name: "Hello",
            };
            bus.ask(hello, None).await?;
            Ok(bus)
        })
        .await?
    }

    /// Says who we are; the kernel bears it out.
    async fn greet(&mut self) -> io::Result<()> {
        let user = rustix::process::geteuid().as_raw().to_string();
        // In hexadecimal: the digits' codes begin at 0x30.
        let hex: String = user.chars().flat_map(|digit| ['3', digit]).collect();
        let line = format!("\0AUTH EXTERNAL {hex}\r\n");
        self.stream.write_all(line.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") {
            if answer.len() == MOST_LINE {
                return Err(foreign("the greeting"));
            }
            answer.push(self.stream.read_u8().await?);
        }
        if !answer.starts_with(b"OK ") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.stream.write_all(b"BEGIN\r\n").await
    }

    /// Calls a method with at most one text, and waits for the answer's body.
    pub(super) async fn call(
        &mut self,
        method: Method<'_>,
        text: Option<&str>,
    ) -> io::Result<Body> {
        timeout(WAIT, self.ask(method, text)).await?
    }

    async fn ask(&mut self, method: Method<'_>, text: Option<&str>) -> io::Result<Body> {
        self.serial = self.serial.wrapping_add(1).max(1);
        let message = call(self.serial, method, text);
        self.stream.write_all(&message).await?;
        loop {
            let (kind, fields, body) = self.message().await?;
            let about = Body::new(fields).about().ok_or_else(|| foreign("a head"))?;
            if about.answers != Some(self.serial) {
                continue;
            }
            return match kind {
                RETURN => Ok(Body::new(body)),
                ERROR => Err(io::Error::other(about.error.unwrap_or_default())),
                _ => Err(foreign("an answer")),
            };
        }
    }

    /// The next message: its kind, its fields, its body.
    async fn message(&mut self) -> io::Result<(u8, Vec<u8>, Vec<u8>)> {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head).await?;
        let [
            order,
            kind,
            _,
            _,
            b0,
            b1,
            b2,
            b3,
            _,
            _,
            _,
            _,
            f0,
            f1,
            f2,
            f3,
        ] = head;
        let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
        let (body, fields) = (length([b0, b1, b2, b3]), length([f0, f1, f2, f3]));
        if order != LITTLE || body > MOST || fields > MOST {
            return Err(foreign("a message"));
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        self.stream.read_exact(&mut rest).await?;
        let body = rest.split_off(fields.next_multiple_of(8));
        rest.truncate(fields);
        Ok((kind, rest, body))
    }
}

fn foreign(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} can't be read"))
}

/// A method call's message.
fn call(serial: u32, method: Method<'_>, text: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(text) = text {
        put_text(&mut body, text);
    }
    let mut fields = Vec::new();
    for (code, kind, value) in [
        (PATH, b'o', method.object),
        (INTERFACE, b's', method.interface),
        (MEMBER, b's', method.name),
        (DESTINATION, b's', method.service),
    ] {
        pad(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        put_text(&mut fields, value);
    }
    if text.is_some() {
        pad(&mut fields, 8);
        fields.extend([SIGNATURE, 1, b'g', 0, 1, b's', 0]);
    }
    let mut message = vec![LITTLE, CALL, NO_AUTO_START, 1];
    for number in [length(&body), serial, length(&fields)] {
        message.extend(number.to_le_bytes());
    }
    message.extend(fields);
    pad(&mut message, 8);
    message.extend(body);
    message
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    pad(into, 4);
    into.extend(length(text.as_bytes()).to_le_bytes());
    into.extend(text.as_bytes());
    into.push(0);
}

fn pad(into: &mut Vec<u8>, to: usize) {
    into.resize(into.len().next_multiple_of(to), 0);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// What a message's head says of it.
#[derive(Debug, Default)]
struct About {
    answers: Option<u32>,
    error: Option<String>,
}

/// The values of a message, read one after another. Every reader says `None` where something else is there.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    at: usize,
}

impl Body {
    /// Values that begin on a whole multiple of 8 bytes of their message.
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    fn about(mut self) -> Option<About> {
        let mut about = About::default();
        while self.at < self.bytes.len() {
            self.align(8);
            let [code] = self.take()?;
            let kind = self.signature()?;
            match (code, kind.as_str()) {
                (REPLY_SERIAL, "u") => about.answers = Some(self.number()?),
                (ERROR_NAME, "s") => about.error = Some(self.text()?),
                _ => self.pass(&kind)?,
            }
        }
        Some(about)
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.at.checked_add(N)?;
        let bytes = self.bytes.get(self.at..end)?.try_into().ok()?;
        self.at = end;
        Some(bytes)
    }

    fn run(&mut self, length: usize) -> Option<&[u8]> {
        let begin = self.at;
        let end = begin.checked_add(length)?;
        self.bytes.get(begin..end)?;
        self.at = end;
        self.bytes.get(begin..end)
    }

    /// `u`, and the form of `b`.
    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4);
        self.take().map(u32::from_le_bytes)
    }

    /// `t`
    pub(super) fn large(&mut self) -> Option<u64> {
        self.align(8);
        self.take().map(u64::from_le_bytes)
    }

    /// `s`, `o`
    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let text = String::from_utf8(self.run(length)?.to_vec()).ok()?;
        let [_end] = self.take()?;
        Some(text)
    }

    /// `g`; before the value of a `v` it says what follows.
    pub(super) fn signature(&mut self) -> Option<String> {
        let [length] = self.take()?;
        let text = String::from_utf8(self.run(length.into())?.to_vec()).ok()?;
        let [_end] = self.take()?;
        Some(text)
    }

    /// `a(…)`, `a{…}`: all elements, each by `one`.
    pub(super) fn all<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = usize::try_from(self.number()?).ok()?;
        self.align(8);
        let end = self.at.checked_add(length)?;
        let mut all = Vec::new();
        while self.at < end {
            self.align(8);
            all.push(one(self)?);
        }
        (self.at == end).then_some(all)
    }

    /// Passes over a value of one type.
    pub(super) fn pass(&mut self, kind: &str) -> Option<()> {
        let rest = self.pass_one(kind.as_bytes(), 0)?;
        rest.is_empty().then_some(())
    }

    /// Passes over a value of the first type, and gives the types after it.
    fn pass_one<'a>(&mut self, kind: &'a [u8], depth: usize) -> Option<&'a [u8]> {
        if depth > DEEPEST {
            return None;
        }
        let (first, rest) = kind.split_first()?;
        match first {
            b's' | b'o' => drop(self.text()?),
            b'g' => drop(self.signature()?),
            b'v' => {
                let inner = self.signature()?;
                let left = self.pass_one(inner.as_bytes(), depth + 1)?;
                return left.is_empty().then_some(rest);
            }
            b'a' => {
                let length = usize::try_from(self.number()?).ok()?;
                let (element, after) = one_type(rest, depth + 1)?;
                self.align(alignment(*element.first()?)?);
                self.run(length)?;
                return Some(after);
            }
            b'(' | b'{' => {
                self.align(8);
                let mut rest = rest;
                while !matches!(rest.first()?, b')' | b'}') {
                    rest = self.pass_one(rest, depth + 1)?;
                }
                return rest.get(1..);
            }
            plain => {
                let size = alignment(*plain)?;
                self.align(size);
                self.run(size)?;
            }
        }
        Some(rest)
    }
}

/// The first type of several, and the others.
fn one_type(kind: &[u8], depth: usize) -> Option<(&[u8], &[u8])> {
    if depth > DEEPEST {
        return None;
    }
    let length = match kind.first()? {
        b'a' => 1 + one_type(kind.get(1..)?, depth + 1)?.0.len(),
        b'(' | b'{' => {
            let mut at = 1;
            while !matches!(kind.get(at)?, b')' | b'}') {
                at += one_type(kind.get(at..)?, depth + 1)?.0.len();
            }
            at + 1
        }
        _ => 1,
    };
    kind.split_at_checked(length)
}

/// Where values of a type begin; of plain types also their length.
fn alignment(kind: u8) -> Option<usize> {
    match kind {
        b'y' | b'g' | b'v' => Some(1),
        b'n' | b'q' => Some(2),
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => Some(4),
        b'x' | b't' | b'd' | b'(' | b'{' => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use zbus::{Structure, Variant};

    use super::*;

    /// As another implementation lays values out.
    fn laid(body: &(impl serde::Serialize + zbus::zvariant::DynamicType)) -> Body {
        let message = zbus::message::Message::method_call("/a", "B");
        let message = message.build(body).unwrap();
        Body::new(message.body().data().bytes().to_vec())
    }

    #[test]
    fn answers_of_another_implementation_are_read_and_passed_over() {
        let rows = vec![("idle", 7_u32, "x"), ("", u32::MAX, "电教")];
        let mut body = laid(&(rows, true, u64::MAX));
        let row = |body: &mut Body| Some((body.text()?, body.number()?, body.text()?));
        let read = body.all(row).unwrap();
        assert_eq!(read[1], (String::new(), u32::MAX, "电教".to_owned()));
        assert_eq!((read.len(), body.number()), (2, Some(1)));
        assert_eq!((body.large(), body.large()), (Some(u64::MAX), None));

        let odd = Variant::from(Structure::from((1_u8, "a", vec![(2_i16, 3_u64)], 4_i64)));
        let bytes: Vec<&[u8]> = vec![b"abc", b""];
        let mut body = laid(&(5_u8, &odd, &bytes, vec![(6_u8, &odd)], "end"));
        body.pass("y").unwrap();
        for kind in ["v", "aay", "a(yv)"] {
            body.pass(kind).unwrap();
        }
        assert_eq!(body.text().unwrap(), "end");
    }

    #[test]
    fn nonsense_is_refused_and_never_read_beyond_its_end() {
        let whole = laid(&(vec![("idle", 7_u32)], "end")).bytes;
        for end in 0..whole.len() {
            let mut body = Body::new(whole[..end].to_vec());
            let row = |body: &mut Body| Some((body.text()?, body.number()?));
            assert!(body.all(row).is_none() || body.text().is_none(), "{end}");
        }
        for kind in [
            "",
            "(",
            "a",
            "z",
            "aaaaaaaaaaaaaaaaaaaaaaaay",
            "(((((((((((((((((y",
        ] {
            assert_eq!(Body::new(vec![0; 64]).pass(kind), None, "{kind}");
        }
        let huge = Body::new(vec![0xff; 64]).pass("ay");
        assert_eq!(huge, None);
    }
}
