//! The contract between a classroom terminal and the service: generated messages, and topics.
//!
//! A leaf: it imports nothing of Classpulse, and the agent and the service meet only here.
//! Not responsible for the meaning of what is said: checks live in the service's ingest.

pub mod topic;

/// Version 1 of the contract, generated from `proto/v1/*.proto`; field docs carry units and ranges.
#[allow(
    clippy::pedantic,
    clippy::map_err_ignore,
    reason = "generated code, which differs by feature"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/classpulse.v1.rs"));
    #[cfg(feature = "json")]
    include!(concat!(env!("OUT_DIR"), "/classpulse.v1.serde.rs"));
}

/// The encoded `FileDescriptorSet` of every message and service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
