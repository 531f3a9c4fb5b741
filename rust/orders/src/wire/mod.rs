//! XLO/1: the frames that signals arrive in and outcomes leave in.
//!
//! A frame is a header of 40 bytes and fields (type, length, value, padding), at most [`MAX_FRAME`] bytes; integers are
//! little-endian, addresses and hashes stand in display order.
//!
//! ```text
//!  0 magic "XLO1"        4 version u8 = 1     5 type u8             6 flags u16 (1 ack wanted, 2 test or replay)
//!  8 sequence u64       16 sent_unix_ns u64  24 source_id u32      28 tlv_count u16        30 zero u16
//! 32 body_len u32       36 crc32c u32 over bytes 0–35, then the body
//! ```
//!
//! Fields stand in strictly ascending type, equal only where a type may repeat; below 0x8000 an unknown one refuses the
//! frame, above it may be skipped. Reserved bytes are zero. So each message has one encoding: what decodes encodes to
//! the same bytes. Decoding borrows from the frame and allocates nothing before every length was checked; each refusal
//! names its code and the byte where it was seen.

mod auth;
mod frame;
mod message;
mod refusal;
mod report;
mod signal;

pub use auth::{AuthKey, AuthKeys, Authenticity};
pub use frame::{Field, Fields, Frame, FrameWriter, Header, frame_length};
pub use message::{Message, MessageKind};
pub use refusal::{WireCode, WireError};
pub use report::{
    AttemptKind, BundleRef, ErrorInfo, Fill, FillKind, MESSAGE_MAX, OrderStatus, REVERT_MAX, Report, SwapLeg, TxRef,
    flags,
};
pub(crate) use signal::numbered;
pub use signal::{
    AMOUNTS_MAX, Action, Addresses, Channel, Economics, Hop, Identity, Lender, POOLS_MAX, RAW_CALL_MAX, Signal,
    SignalParts, TOKENS_MAX,
};

/// Most bytes of a frame, header included.
pub const MAX_FRAME: usize = 65_536;

/// Bytes of the header.
pub const HEADER: usize = 40;

/// Flag of the header: the sender wants an Ack or Nack.
pub const ACK_WANTED: u16 = 1;

/// Flag of the header: sent by a test or a replay.
pub const TEST: u16 = 2;

/// Numbers of a field's types.
pub mod field {
    /// Who wants what on which chain.
    pub const IDENTITY: u16 = 0x0001;
    /// Profit, capital, gas and limits.
    pub const ECONOMICS: u16 = 0x0002;
    /// Contract, pools, tokens, amounts.
    pub const ADDRESSES: u16 = 0x0003;
    /// Kind, direction and fee of each pool.
    pub const HOPS: u16 = 0x0004;
    /// Call data of a raw call.
    pub const RAW_CALL: u16 = 0x0005;
    /// Who lends.
    pub const LENDER: u16 = 0x0006;
    /// State of an order.
    pub const ORDER_STATUS: u16 = 0x0101;
    /// One signed transaction.
    pub const TX_REF: u16 = 0x0102;
    /// Money made or lost.
    pub const FILL: u16 = 0x0103;
    /// One swap of a fill.
    pub const SWAP_LEG: u16 = 0x0104;
    /// Why it failed.
    pub const ERROR: u16 = 0x0105;
    /// One bundle at one relay.
    pub const BUNDLE_REF: u16 = 0x0106;
    /// W3C trace and span.
    pub const TRACE: u16 = 0x8001;
    /// Key and HMAC; always last.
    pub const AUTH: u16 = 0xffff;
}

#[cfg(test)]
pub(crate) mod tests;
