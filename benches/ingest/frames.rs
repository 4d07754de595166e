//! MQTT 5 by hand: the few frames that a terminal sends and reads, straight into and out of byte buffers.
//!
//! Not responsible for sockets or for what a report says.

/// A frame that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Login answered; 0 is yes.
    ConnAck { code: u8 },
    /// Subscription answered; the worst code, below 0x80 is yes.
    SubAck { worst: u8 },
    /// A publish answered; below 0x80 is yes.
    PubAck { id: u16, code: u8 },
    /// A message for us; `id` with `QoS` 1 only.
    Publish { id: Option<u16>, payload: &'a [u8] },
    /// The broker ends the connection.
    Disconnect { code: u8 },
    /// Anything else.
    Other,
}

/// Seconds of silence that the broker must bear: no bench run is longer, so pings are not needed.
const KEEP_ALIVE: u16 = 3_600;

/// Client id and user name are the same, as the embedded broker wants it.
pub(crate) fn connect(out: &mut Vec<u8>, name: &str) {
    let length = 10 + 1 + (2 + name.len()) + (2 + name.len()) + 2;
    out.push(0x10);
    varint(out, length);
    text(out, "MQTT");
    // Version 5; user name, password, clean start.
    out.extend_from_slice(&[5, 0b1100_0010]);
    out.extend_from_slice(&KEEP_ALIVE.to_be_bytes());
    out.push(0);
    text(out, name);
    text(out, name);
    text(out, "");
}

/// Subscribes to topics with `QoS` 1.
pub(crate) fn subscribe(out: &mut Vec<u8>, id: u16, topics: &[String]) {
    let length = 2 + 1 + topics.iter().map(|topic| topic.len() + 3).sum::<usize>();
    out.push(0x82);
    varint(out, length);
    out.extend_from_slice(&id.to_be_bytes());
    out.push(0);
    for topic in topics {
        text(out, topic);
        out.push(1);
    }
}

/// A publish with `QoS` 1.
pub(crate) fn publish(out: &mut Vec<u8>, id: u16, topic: &str, payload: &[u8]) {
    out.push(0x32);
    varint(out, 2 + topic.len() + 2 + 1 + payload.len());
    text(out, topic);
    out.extend_from_slice(&id.to_be_bytes());
    out.push(0);
    out.extend_from_slice(payload);
}

/// Answers a publish.
pub(crate) fn puback(out: &mut Vec<u8>, id: u16) {
    out.extend_from_slice(&[0x40, 2]);
    out.extend_from_slice(&id.to_be_bytes());
}

/// The first frame of a buffer and its length; `None` while it is not all there.
pub(crate) fn next(buffer: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (length, head) = read_varint(buffer.get(1..)?)?;
    let start = 1 + head;
    let body = buffer.get(start..start + length)?;
    Some((frame(buffer[0], body), start + length))
}

fn frame(kind: u8, body: &[u8]) -> Frame<'_> {
    let number = |at: usize| {
        body.get(at..at + 2)
            .map(|two| u16::from_be_bytes([two[0], two[1]]))
    };
    match kind >> 4 {
        2 => Frame::ConnAck {
            code: body.get(1).copied().unwrap_or(0xff),
        },
        4 => Frame::PubAck {
            id: number(0).unwrap_or(0),
            code: body.get(2).copied().unwrap_or(0),
        },
        9 => {
            let codes = after_properties(&body[2..]);
            Frame::SubAck {
                worst: codes.iter().copied().max().unwrap_or(0xff),
            }
        }
        3 => {
            let mut at = 2 + usize::from(number(0).unwrap_or(0));
            let id = (kind & 0b110 != 0).then(|| number(at)).flatten();
            at += if id.is_some() { 2 } else { 0 };
            Frame::Publish {
                id,
                payload: after_properties(&body[at..]),
            }
        }
        14 => Frame::Disconnect {
            code: body.first().copied().unwrap_or(0),
        },
        _ => Frame::Other,
    }
}

fn after_properties(body: &[u8]) -> &[u8] {
    read_varint(body).map_or(&[], |(length, head)| &body[head + length..])
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("a short text");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value % 128).expect("seven bits");
        value /= 128;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// The number and how many bytes it took.
fn read_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// What is written can be read: run before every bench, for a bench target has no tests of its own.
pub(crate) fn check() {
    let mut bytes = Vec::new();
    let payload = [7; 300];
    publish(&mut bytes, 5, "a/b", &payload);
    assert_eq!(next(&bytes[..bytes.len() - 1]), None);
    let (found, length) = next(&bytes).expect("a whole frame");
    let expected = Frame::Publish {
        id: Some(5),
        payload: &payload,
    };
    assert_eq!((found, length), (expected, bytes.len()));
    let suback = [0x90, 5, 0, 1, 0, 1, 0x87];
    assert_eq!(next(&suback), Some((Frame::SubAck { worst: 0x87 }, 7)));
    let puback = [0x40, 2, 1, 2];
    assert_eq!(next(&puback), Some((Frame::PubAck { id: 258, code: 0 }, 4)));
}
