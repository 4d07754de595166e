//! How helpers, `status` and the agent speak on one machine: length-delimited protobuf, one request after another.
//!
//! Only `status` is answered. Not responsible for the carrier (a socket or a pipe) or for who may speak.

use std::io::{self, Read, Write};

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Signs;

/// Most bytes of a request: a helper's word has some dozens.
pub const MOST_REQUEST: usize = 4 * 1024;
/// Most bytes of an answer: the agent's state in JSON has a few thousand.
pub const MOST_ANSWER: usize = 256 * 1024;
/// Bytes of a length: enough for 2 MB, and no more than 3 reads of a peer that sends rubbish.
const LENGTH_BYTES: usize = 3;

/// What the agent is told or asked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// One of them; absent from a peer that speaks of something newer, which is passed over.
    #[prost(oneof = "Ask", tags = "1, 2")]
    pub ask: Option<Ask>,
}

/// What is told or asked.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Ask {
    /// A helper's word. Not answered.
    #[prost(message, tag = "1")]
    Signs(Signs),
    /// How the agent is. Answered with a [`StatusAnswer`].
    #[prost(message, tag = "2")]
    Status(StatusQuestion),
}

/// Nothing needs to be said with the question.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct StatusQuestion {}

/// How the agent is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StatusAnswer {
    /// The state as one JSON object.
    #[prost(string, tag = "1")]
    pub json: String,
}

impl From<Signs> for Request {
    fn from(signs: Signs) -> Self {
        Self {
            ask: Some(Ask::Signs(signs)),
        }
    }
}

impl From<StatusQuestion> for Request {
    fn from(question: StatusQuestion) -> Self {
        Self {
            ask: Some(Ask::Status(question)),
        }
    }
}

/// Tells the agent something, on a stream that blocks.
///
/// # Errors
/// The stream's own: the agent is gone.
pub fn tell(agent: &mut impl Write, request: &Request) -> io::Result<()> {
    agent.write_all(&request.encode_length_delimited_to_vec())?;
    agent.flush()
}

/// Asks the agent how it is, on a stream that blocks; the answer is one JSON object.
///
/// # Errors
/// The stream's own, and `InvalidData` where the answer is none.
pub fn ask_status(agent: &mut (impl Read + Write)) -> io::Result<String> {
    tell(agent, &StatusQuestion {}.into())?;
    let mut head = Length::default();
    let length = loop {
        let mut byte = [0];
        agent.read_exact(&mut byte)?;
        if let Some(length) = head.take(byte[0], MOST_ANSWER)? {
            break length;
        }
    };
    let mut body = vec![0; length];
    agent.read_exact(&mut body)?;
    let answer = StatusAnswer::decode(body.as_slice()).map_err(io::Error::other)?;
    Ok(answer.json)
}

/// Reads one message of at most `most` bytes; `None` where the peer has ended between two messages. Not to be
/// cancelled and called again: what was read of a message would be lost.
///
/// # Errors
/// The stream's own, `UnexpectedEof` for an end within a message, and `InvalidData` for one that is too long or none.
pub async fn read<M: Message + Default>(
    from: &mut (impl AsyncRead + Unpin),
    most: usize,
) -> io::Result<Option<M>> {
    let mut head = Length::default();
    let length = loop {
        let mut byte = [0];
        if from.read(&mut byte).await? == 0 {
            return match head.bytes {
                0 => Ok(None),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        if let Some(length) = head.take(byte[0], most)? {
            break length;
        }
    };
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    M::decode(body.as_slice())
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes one message.
///
/// # Errors
/// The stream's own.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    to.write_all(&message.encode_length_delimited_to_vec())
        .await?;
    to.flush().await
}

/// A length on its way in: protobuf's variable-length number, byte by byte.
#[derive(Debug, Default)]
struct Length {
    value: usize,
    bytes: usize,
}

impl Length {
    /// Takes one more byte; the length once it is whole, an error where it is more than `most`.
    fn take(&mut self, byte: u8, most: usize) -> io::Result<Option<usize>> {
        self.value |= usize::from(byte & 0x7f) << (7 * self.bytes);
        self.bytes += 1;
        let whole = byte & 0x80 == 0;
        if self.value > most || !whole && self.bytes == LENGTH_BYTES {
            let words = "a message that is too long";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(whole.then_some(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(bytes: &[u8]) -> io::Result<Option<Request>> {
        let mut from = bytes;
        read(&mut from, MOST_REQUEST).await
    }

    #[tokio::test]
    async fn messages_follow_one_another_until_the_peer_ends() {
        let signs = Signs {
            input_ago_ms: Some(0),
            presenting: true,
            playing: false,
            missing: vec!["x".repeat(300)],
            away: true,
        };
        let said = [signs.into(), StatusQuestion {}.into(), Request::default()];
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for one in &said {
            tell(&mut bytes, one).unwrap();
            ends.push(bytes.len());
        }
        for end in 0..=bytes.len() {
            let mut from = &bytes[..end];
            let whole = ends.iter().filter(|one| **one <= end).count() - 1;
            for one in &said[..whole] {
                let heard = read(&mut from, MOST_REQUEST).await.unwrap();
                assert_eq!(heard.as_ref(), Some(one));
            }
            match read::<Request>(&mut from, MOST_REQUEST).await {
                Ok(nothing) => assert_eq!((nothing, ends.contains(&end)), (None, true)),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                    assert!(!ends.contains(&end), "cut after {end}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_too_long_or_none_is_refused_before_it_is_read() {
        // 4,097 bytes; a length without an end; and a body that is no message.
        for bytes in [&[0x81, 0x20][..], &[0xff, 0xff, 0xff], &[2, 0x0a, 0x05]] {
            let error = request(bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        // 4,096 bytes would be read.
        let error = request(&[0x80, 0x20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_answer_is_heard_by_one_who_blocks() {
        /// What is written goes nowhere; what is read was laid there.
        struct Laid(io::Cursor<Vec<u8>>);
        impl Read for Laid {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut self.0, into)
            }
        }
        impl Write for Laid {
            fn write(&mut self, from: &[u8]) -> io::Result<usize> {
                Ok(from.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let json = format!("{{\"a\":\"{}\"}}", "b".repeat(5_000));
        let answer = StatusAnswer { json: json.clone() };
        let bytes = answer.encode_length_delimited_to_vec();
        let mut agent = Laid(io::Cursor::new(bytes));
        assert_eq!(ask_status(&mut agent).unwrap(), json);
        assert!(ask_status(&mut agent).is_err(), "the agent is gone");
    }
}
