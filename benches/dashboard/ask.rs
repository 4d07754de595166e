//! Asks for a page as a browser does, and says how long the answer took until its last byte.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use flate2::read::GzDecoder;

use crate::spread::{now, seconds};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer.
pub(crate) struct Answer {
    /// From connecting to the last byte.
    pub(crate) milliseconds: f64,
    /// HTTP's.
    pub(crate) status: u16,
    /// Bytes of the body as they came over the line.
    pub(crate) packed: usize,
    /// The body unpacked; empty where it is no text.
    pub(crate) text: String,
}

/// Asks for an address. HTTP/1.0, so that the answer ends with the connection.
pub(crate) fn ask(service: SocketAddr, address: &str) -> Answer {
    let begun = now();
    let mut stream = TcpStream::connect(service).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let request =
        format!("GET {address} HTTP/1.0\r\nHost: {service}\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer");
    let milliseconds = seconds(begun.elapsed()) * 1e3;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let body = all.split_off(end.expect("a head") + 4);
    let head = String::from_utf8(all).expect("a text");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut text = Vec::new();
    if head.contains("content-encoding: gzip") {
        let mut reader = GzDecoder::new(&*body);
        reader.read_to_end(&mut text).expect("what was packed");
    } else {
        text.clone_from(&body);
    }
    Answer {
        milliseconds,
        status: status.expect("a status"),
        packed: body.len(),
        text: String::from_utf8(text).unwrap_or_default(),
    }
}
