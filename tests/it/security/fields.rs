//! SQL in every text of every gRPC message, by the contract's own descriptors: what is added to it later is tried as well.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _};
use classpulse::store::TerminalFilter;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

use super::hostile::SQL;
use crate::dashboard::county::{CODE, Morning};

/// Messages as bytes; answers are not looked into.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

/// Every method with the type of its request, and every type of the contract.
struct Contract {
    methods: Vec<(String, String)>,
    types: BTreeMap<String, DescriptorProto>,
}

impl Contract {
    fn new() -> Self {
        let set = FileDescriptorSet::decode(classpulse_proto::DESCRIPTORS).unwrap();
        let (mut methods, mut types) = (Vec::new(), BTreeMap::new());
        for file in set.file {
            let package = file.package().to_owned();
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{package}.{}/{}", service.name(), method.name());
                    methods.push((path, method.input_type().to_owned()));
                }
            }
            for message in file.message_type {
                types.insert(format!(".{package}.{}", message.name()), message);
            }
        }
        Self { methods, types }
    }

    /// A message of a type with words in all its texts and 1 for all its numbers; and how many texts these are.
    fn filled(&self, name: &str, words: &str, depth: u8) -> (Vec<u8>, usize) {
        let (mut message, mut texts) = (Vec::new(), 0);
        // Types from elsewhere (moments) hold no text.
        for field in self.types.get(name).map_or(&[][..], |it| &it.field) {
            let number = u64::try_from(field.number()).unwrap() << 3;
            let content = match field.r#type() {
                Type::String | Type::Bytes => {
                    texts += 1;
                    words.as_bytes().to_vec()
                }
                Type::Message if depth > 0 => {
                    let (inner, more) = self.filled(field.type_name(), words, depth - 1);
                    texts += more;
                    inner
                }
                Type::Int32
                | Type::Int64
                | Type::Uint32
                | Type::Uint64
                | Type::Bool
                | Type::Enum => {
                    prost::encoding::encode_varint(number, &mut message);
                    message.push(1);
                    continue;
                }
                _ => continue,
            };
            prost::encoding::encode_varint(number | 2, &mut message);
            prost::encoding::encode_varint(u64::try_from(content.len()).unwrap(), &mut message);
            message.extend(content);
        }
        (message, texts)
    }
}

async fn call(channel: &Channel, path: &str, message: Vec<u8>) -> Code {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let answer = client
        .server_streaming(Request::new(message), path, Raw)
        .await;
    let ended = match answer {
        // What may refuse after its first word.
        Ok(answer) => {
            let mut stream = answer.into_inner();
            let next = stream.message();
            let next = tokio::time::timeout(std::time::Duration::from_millis(200), next).await;
            next.map_or(Ok(None), |next| next).map(drop)
        }
        Err(status) => Err(status),
    };
    ended.map_or_else(|status| status.code(), |()| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_any_text_of_any_message_is_text() {
    let morning = Morning::start().await;
    let store = morning.app.store.clone();
    morning.run().await;
    let county = CODE.parse().unwrap();
    let all = async || {
        let terminals = store.terminals(&TerminalFilter::default()).await.unwrap();
        let schools = store.schools(&county).await.unwrap();
        (schools, terminals.len())
    };
    let before = all().await;
    let channel = Channel::from_shared(format!("http://{}", morning.app.api)).unwrap();
    let channel = channel.connect().await.unwrap();
    let contract = Contract::new();
    let mut tried = 0;
    for words in SQL {
        for (path, request) in &contract.methods {
            let (message, texts) = contract.filled(request, words, 3);
            tried += texts;
            let code = call(&channel, path, message).await;
            let broken = [
                Code::Internal,
                Code::Unknown,
                Code::DataLoss,
                Code::Unimplemented,
            ];
            assert!(!broken.contains(&code), "{path} with {words}: {code:?}");
        }
    }
    println!("{tried} texts in {} methods", contract.methods.len());
    assert!(tried > 200, "{tried}");
    assert_eq!(all().await, before);
    morning.stop().await;
}
