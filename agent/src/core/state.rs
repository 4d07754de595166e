//! What the journal keeps: plain data in protobuf's encoding. Not responsible for files.

/// Everything that must survive a power cut.
#[derive(Clone, PartialEq, prost::Message)]
pub struct JournalState {
    /// Earlier boots first, the current one last.
    #[prost(message, repeated, tag = "1")]
    pub boots: Vec<StoredBoot>,
    /// Seconds between reports, as the service wants it; 0 where it wants nothing.
    #[prost(uint32, tag = "2")]
    pub heartbeat_seconds: u32,
    /// Seconds without input after which use has ended, as the service wants it; 0 where it wants nothing.
    #[prost(uint32, tag = "3")]
    pub idle_seconds: u32,
    /// The service's clock in the last acknowledgement, Unix ms; 0 before the first.
    #[prost(sint64, tag = "4")]
    pub last_ack_ms: i64,
    /// The latest moment at which the time was known, Unix ms: no later boot began before it.
    #[prost(sint64, tag = "5")]
    pub known_ms: i64,
    /// Whether power-on times from before the installation were taken in; they are, once.
    #[prost(bool, tag = "6")]
    pub history_taken: bool,
    /// What of the latest day was acknowledged, for people who ask.
    #[prost(message, optional, tag = "7")]
    pub acknowledged: Option<StoredDay>,
}

/// What of one civil day was acknowledged.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StoredDay {
    /// Its first second, Unix seconds.
    #[prost(sint64, tag = "1")]
    pub begins: i64,
    /// How long the machine was on.
    #[prost(uint32, tag = "2")]
    pub powered_seconds: u32,
    /// How long it was used.
    #[prost(uint32, tag = "3")]
    pub used_seconds: u32,
}

/// One boot and the sessions of it that are not acknowledged.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredBoot {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Unix ms minus ms since boot.
    #[prost(sint64, tag = "2")]
    pub offset_ms: i64,
    /// Whether the clock was vouched for in this boot.
    #[prost(bool, tag = "3")]
    pub synced: bool,
    /// How many POWERED sessions the boot has had.
    #[prost(uint32, tag = "4")]
    pub powered_count: u32,
    /// How many USED sessions the boot has had.
    #[prost(uint32, tag = "5")]
    pub used_count: u32,
    /// In order of their start.
    #[prost(message, repeated, tag = "6")]
    pub sessions: Vec<StoredSession>,
    /// Of the last report, so that numbers rise also when a later boot reports for this one.
    #[prost(uint64, tag = "7")]
    pub last_sequence: u64,
    /// The last look at the machine, ms since boot.
    #[prost(uint64, optional, tag = "8")]
    pub seen_ms: Option<u64>,
    /// How long the machine had slept until then, ms: tells a sleep while no agent ran.
    #[prost(uint64, tag = "9")]
    pub slept_ms: u64,
    /// Input before this moment is already in a session, ms since boot.
    #[prost(uint64, tag = "10")]
    pub use_floor_ms: u64,
    /// What the hardware clock said at the boot's first look, minus ms since boot.
    #[prost(sint64, optional, tag = "11")]
    pub hardware_ms: Option<i64>,
    /// The clock was set while nobody vouched for it.
    #[prost(bool, tag = "12")]
    pub disturbed: bool,
    /// 0 undecided, 1 the hardware clock is borne out, 2 the boot can't be placed.
    #[prost(uint32, tag = "13")]
    pub verdict: u32,
    /// How many signals the boot has had.
    #[prost(uint32, tag = "14")]
    pub signal_count: u32,
    /// Signals that are not acknowledged.
    #[prost(message, repeated, tag = "15")]
    pub signals: Vec<StoredSignal>,
    /// The agent was told to stop; where it goes on in this boot, somebody stopped it.
    #[prost(bool, tag = "16")]
    pub stopped: bool,
    /// Power-on times from before the installation.
    #[prost(bool, tag = "17")]
    pub history: bool,
    /// From when on nobody has vouched for the clock again after a sleep, ms since boot.
    #[prost(uint64, optional, tag = "18")]
    pub doubted_ms: Option<u64>,
    /// The system's clock at the last look, minus ms since boot.
    #[prost(sint64, optional, tag = "19")]
    pub wall_ms: Option<i64>,
    /// What the machine's clocks, the system's and the hardware's, said when the boot before ended, Unix ms: one that
    /// stands still without power goes on from there.
    #[prost(sint64, repeated, tag = "20")]
    pub left_ms: Vec<i64>,
}

/// One signal, in the boot's own time.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredSignal {
    /// As the contract numbers kinds.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Number within the boot.
    #[prost(uint32, tag = "2")]
    pub number: u32,
    /// Ms since boot.
    #[prost(uint64, tag = "3")]
    pub at_ms: u64,
    /// How long, or by how much.
    #[prost(sint64, tag = "4")]
    pub seconds: i64,
    /// When, in Unix seconds, where a sleep came between then and now.
    #[prost(sint64, optional, tag = "5")]
    pub placed: Option<i64>,
}

/// One session, in the boot's own time.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredSession {
    /// Used, else powered.
    #[prost(bool, tag = "1")]
    pub used: bool,
    /// Number within boot and kind.
    #[prost(uint32, tag = "2")]
    pub number: u32,
    /// Ms since boot.
    #[prost(uint64, tag = "3")]
    pub start_ms: u64,
    /// Length in ms.
    #[prost(uint64, tag = "4")]
    pub length_ms: u64,
    /// Whether it may still grow.
    #[prost(bool, tag = "5")]
    pub open: bool,
    /// Start in Unix seconds, once reported.
    #[prost(sint64, optional, tag = "6")]
    pub placed: Option<i64>,
    /// 0 dated as its boot is, 1 by the time that was known before a sleep, 2 never to be.
    #[prost(uint32, tag = "7")]
    pub dated: u32,
}
