//! What leaves the engine: status, transactions, fills, legs, reasons, bundles (fields 0101 to 0106).

use types::{Address, B256, U256};

use super::{
    FrameWriter, WireCode, WireError, field,
    frame::{Field, exactly, i32_at, i128_at, u16_at, u32_at, u64_at, u128_at},
    signal::{Channel, numbered, sized, zeros},
};
use crate::{
    failure::FailureCode,
    states::{State, Sub},
};

/// Flags of an order's status.
pub mod flags {
    /// Nothing more will come but corrections.
    pub const TERMINAL: u8 = 1;
    /// Its block left the canonical chain after it was confirmed.
    pub const REVOKED: u8 = 2;
    /// Somebody asked to cancel it.
    pub const CANCEL_ASKED: u8 = 4;
    /// Its confirmation deadline has passed.
    pub const OVERDUE: u8 = 8;
    /// Its private bytes may still land.
    pub const RESIDUAL: u8 = 16;
    /// All of them.
    pub const ALL: u8 = 31;
}

/// Field 0101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderStatus {
    /// The engine's name for it.
    pub order_id: u64,
    /// The source's name for it.
    pub signal_id: u64,
    /// Who sent the signal.
    pub source_id: u32,
    /// Which of the source's strategies.
    pub strategy_id: u16,
    /// Sub-state; the state follows from it.
    pub sub: Sub,
    /// Why it failed, where it did.
    pub failure: Option<FailureCode>,
    /// How often it was replaced.
    pub replacements: u8,
    /// See [`flags`].
    pub flags: u8,
    /// Counts the reports of this order.
    pub order_seq: u32,
    /// When this happened.
    pub event_unix_ns: u64,
    /// How long after the signal was received.
    pub ns_since_receipt: u64,
}

impl OrderStatus {
    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 48)?;
        let range = |at| field.refuse(WireCode::Range, at);
        let state = State::from_number(value[22]).ok_or(range(22))?;
        let sub = Sub::from_number(value[23]).filter(|sub| sub.state() == state).ok_or(range(23))?;
        let failure = match u16_at(value, 24) {
            0 => None,
            code => Some(FailureCode::from_number(code).ok_or(range(24))?),
        };
        if value[27] & !flags::ALL != 0 {
            return Err(field.refuse(WireCode::Flags, 27));
        }
        Ok(Self {
            order_id: u64_at(value, 0),
            signal_id: u64_at(value, 8),
            source_id: u32_at(value, 16),
            strategy_id: u16_at(value, 20),
            sub,
            failure,
            replacements: value[26],
            flags: value[27],
            order_seq: u32_at(value, 28),
            event_unix_ns: u64_at(value, 32),
            ns_since_receipt: u64_at(value, 40),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.order_id.to_le_bytes());
        out.extend(self.signal_id.to_le_bytes());
        out.extend(self.source_id.to_le_bytes());
        out.extend(self.strategy_id.to_le_bytes());
        out.extend([self.sub.state() as u8, self.sub as u8]);
        out.extend(self.failure.map_or(0, |code| code as u16).to_le_bytes());
        out.extend([self.replacements, self.flags]);
        out.extend(self.order_seq.to_le_bytes());
        out.extend(self.event_unix_ns.to_le_bytes());
        out.extend(self.ns_since_receipt.to_le_bytes());
    }
}

numbered! {
    /// What a signed transaction is to its order.
    AttemptKind {
        /// The first.
        Original = 0,
        /// The same call at a higher fee, or publicly after a private window.
        SpeedUp = 1,
        /// Takes the slot away from the others.
        Cancel = 2,
        /// Closes a hole that no order owns.
        Filler = 3,
    }
}

/// Field 0102.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxRef {
    /// Keccak-256 of the signed bytes.
    pub hash: B256,
    /// Who signed.
    pub sender: Address,
    /// What it is to the order.
    pub kind: AttemptKind,
    /// Which way it went.
    pub channel: Channel,
    /// The slot, with the sender.
    pub nonce: u64,
    /// Highest fee for a unit of gas.
    pub max_fee: u64,
    /// Highest tip for a unit of gas.
    pub max_priority: u64,
    /// Most gas.
    pub gas_limit: u64,
    /// The last block it was meant for; zero: any.
    pub target_block: u64,
}

impl TxRef {
    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 96)?;
        zeros(field, 54..56)?;
        Ok(Self {
            hash: B256::new(exactly(value)),
            sender: Address::new(exactly(&value[32..])),
            kind: AttemptKind::from_number(value[52]).ok_or(field.refuse(WireCode::Range, 52))?,
            channel: Channel::from_number(value[53]).ok_or(field.refuse(WireCode::Range, 53))?,
            nonce: u64_at(value, 56),
            max_fee: u64_at(value, 64),
            max_priority: u64_at(value, 72),
            gas_limit: u64_at(value, 80),
            target_block: u64_at(value, 88),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.hash.as_slice());
        out.extend_from_slice(self.sender.as_slice());
        out.extend([self.kind as u8, self.channel as u8, 0, 0]);
        for number in [self.nonce, self.max_fee, self.max_priority, self.gas_limit, self.target_block] {
            out.extend(number.to_le_bytes());
        }
    }
}

numbered! {
    /// What an entry of an order's ledger is.
    FillKind {
        /// Included in a block.
        Fill = 0,
        /// That block left the canonical chain.
        Reversal = 1,
        /// Back in the canonical chain.
        Reinstatement = 2,
        /// Landed after the order was reported failed.
        Late = 3,
    }
}

/// Field 0103. Whoever sums fills counts a (transaction, block, kind) once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What it does to the ledger.
    pub kind: FillKind,
    /// Whether the transaction succeeded.
    pub success: bool,
    /// How many legs follow.
    pub legs: u16,
    /// Place in the block.
    pub tx_index: u32,
    /// The block's number.
    pub block: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// The transaction's hash.
    pub tx_hash: B256,
    /// What `realized` is counted in.
    pub profit_token: Address,
    /// Blocks on top of it when this was written.
    pub depth: u32,
    /// Profit in the token's smallest unit.
    pub realized: i128,
    /// Profit's value less gas and payments, in wei.
    pub realized_wei: i128,
    /// Paid to the builder directly, in wei.
    pub builder_payment_wei: u128,
    /// Gas used.
    pub gas_used: u64,
    /// Wei paid for a unit of gas.
    pub gas_price: u64,
}

impl Fill {
    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 168)?;
        Ok(Self {
            kind: FillKind::from_number(value[0]).ok_or(field.refuse(WireCode::Range, 0))?,
            success: match value[1] {
                0 => false,
                1 => true,
                _ => return Err(field.refuse(WireCode::Range, 1)),
            },
            legs: u16_at(value, 2),
            tx_index: u32_at(value, 4),
            block: u64_at(value, 8),
            block_hash: B256::new(exactly(&value[16..])),
            tx_hash: B256::new(exactly(&value[48..])),
            profit_token: Address::new(exactly(&value[80..])),
            depth: u32_at(value, 100),
            realized: i128_at(value, 104),
            realized_wei: i128_at(value, 120),
            builder_payment_wei: u128_at(value, 136),
            gas_used: u64_at(value, 152),
            gas_price: u64_at(value, 160),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.kind as u8, u8::from(self.success)]);
        out.extend(self.legs.to_le_bytes());
        out.extend(self.tx_index.to_le_bytes());
        out.extend(self.block.to_le_bytes());
        out.extend_from_slice(self.block_hash.as_slice());
        out.extend_from_slice(self.tx_hash.as_slice());
        out.extend_from_slice(self.profit_token.as_slice());
        out.extend(self.depth.to_le_bytes());
        out.extend(self.realized.to_le_bytes());
        out.extend(self.realized_wei.to_le_bytes());
        out.extend(self.builder_payment_wei.to_le_bytes());
        out.extend(self.gas_used.to_le_bytes());
        out.extend(self.gas_price.to_le_bytes());
    }
}

/// Field 0104.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapLeg {
    /// The pool.
    pub pool: Address,
    /// What went in.
    pub token_in: Address,
    /// What came out.
    pub token_out: Address,
    /// Place of the event among the block's.
    pub log_index: u32,
    /// How much went in.
    pub amount_in: U256,
    /// How much came out.
    pub amount_out: U256,
}

impl SwapLeg {
    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 128)?;
        Ok(Self {
            pool: Address::new(exactly(value)),
            token_in: Address::new(exactly(&value[20..])),
            token_out: Address::new(exactly(&value[40..])),
            log_index: u32_at(value, 60),
            amount_in: U256::from_le_bytes::<32>(exactly(&value[64..])),
            amount_out: U256::from_le_bytes::<32>(exactly(&value[96..])),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for address in [self.pool, self.token_in, self.token_out] {
            out.extend_from_slice(address.as_slice());
        }
        out.extend(self.log_index.to_le_bytes());
        out.extend(self.amount_in.to_le_bytes::<32>());
        out.extend(self.amount_out.to_le_bytes::<32>());
    }
}

/// Most bytes of revert data that are kept.
pub const REVERT_MAX: usize = 1024;
/// Most bytes of a message that are kept.
pub const MESSAGE_MAX: usize = 512;

/// Field 0105.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorInfo {
    /// A [`FailureCode`] or [`WireCode`].
    pub code: u16,
    /// 0 none, 1 configuration, 2 recoverable, 3 critical, 4 state.
    pub category: u8,
    /// 0 information, 1 warning, 2 error, 3 critical.
    pub severity: u8,
    /// The node's JSON-RPC code; zero where there is none.
    pub rpc_code: i32,
    /// What the contract reverted with.
    pub revert: Vec<u8>,
    /// For people.
    pub text: String,
}

impl ErrorInfo {
    /// A reason in words, cut to what a frame may carry.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        let end = (0..=MESSAGE_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        Self { code, severity: 2, text, ..Self::default() }
    }

    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = field.value;
        if value.len() < 12 {
            return Err(WireError::new(WireCode::FieldLength, field.offset - 2));
        }
        let (revert, text) = (usize::from(u16_at(value, 8)), usize::from(u16_at(value, 10)));
        for (at, length, max) in [(8, revert, REVERT_MAX), (10, text, MESSAGE_MAX)] {
            if length > max {
                return Err(field.refuse(WireCode::Range, at));
            }
        }
        sized(field, 12 + revert + text)?;
        let text = std::str::from_utf8(&value[12 + revert..])
            .map_err(|error| field.refuse(WireCode::Text, 12 + revert + error.valid_up_to()))?;
        Ok(Self {
            code: u16_at(value, 0),
            category: value[2],
            severity: value[3],
            rpc_code: i32_at(value, 4),
            revert: value[12..12 + revert].to_vec(),
            text: text.to_owned(),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.code.to_le_bytes());
        out.extend([self.category, self.severity]);
        out.extend(self.rpc_code.to_le_bytes());
        out.extend((self.revert.len() as u16).to_le_bytes());
        out.extend((self.text.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.revert);
        out.extend_from_slice(self.text.as_bytes());
    }
}

/// Field 0106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleRef {
    /// Keccak-256 of its transactions' hashes.
    pub bundle_hash: B256,
    /// The name it can be cancelled by.
    pub uuid: [u8; 16],
    /// The block it is for.
    pub target_block: u64,
    /// Which of the configured relays.
    pub relay: u16,
    /// How often it was sent there.
    pub attempts: u16,
}

impl BundleRef {
    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 60)?;
        Ok(Self {
            bundle_hash: B256::new(exactly(value)),
            uuid: exactly(&value[32..]),
            target_block: u64_at(value, 48),
            relay: u16_at(value, 56),
            attempts: u16_at(value, 58),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bundle_hash.as_slice());
        out.extend(self.uuid);
        out.extend(self.target_block.to_le_bytes());
        out.extend(self.relay.to_le_bytes());
        out.extend(self.attempts.to_le_bytes());
    }
}

/// All that an ExecutionResult, OrderUpdate, Ack or Nack may say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Field 0101.
    pub status: Option<OrderStatus>,
    /// Fields 0102.
    pub transactions: Vec<TxRef>,
    /// Fields 0103.
    pub fills: Vec<Fill>,
    /// Fields 0104.
    pub legs: Vec<SwapLeg>,
    /// Field 0105.
    pub error: Option<ErrorInfo>,
    /// Fields 0106.
    pub bundles: Vec<BundleRef>,
    /// Field 8001.
    pub trace: Option<[u8; 24]>,
}

impl Report {
    pub(super) fn decode<'a>(fields: impl Iterator<Item = Field<'a>>) -> Result<Self, WireError> {
        let mut report = Self::default();
        for field in fields {
            match field.kind {
                field::ORDER_STATUS => report.status = Some(OrderStatus::decode(&field)?),
                field::TX_REF => report.transactions.push(TxRef::decode(&field)?),
                field::FILL => report.fills.push(Fill::decode(&field)?),
                field::SWAP_LEG => report.legs.push(SwapLeg::decode(&field)?),
                field::ERROR => report.error = Some(ErrorInfo::decode(&field)?),
                field::BUNDLE_REF => report.bundles.push(BundleRef::decode(&field)?),
                field::TRACE => report.trace = Some(exactly(sized(&field, 24)?)),
                _ => {}
            }
        }
        Ok(report)
    }

    pub(super) fn encode(&self, writer: &mut FrameWriter) {
        if let Some(status) = &self.status {
            writer.field(field::ORDER_STATUS, |out| status.encode(out));
        }
        for transaction in &self.transactions {
            writer.field(field::TX_REF, |out| transaction.encode(out));
        }
        for fill in &self.fills {
            writer.field(field::FILL, |out| fill.encode(out));
        }
        for leg in &self.legs {
            writer.field(field::SWAP_LEG, |out| leg.encode(out));
        }
        if let Some(error) = &self.error {
            writer.field(field::ERROR, |out| error.encode(out));
        }
        for bundle in &self.bundles {
            writer.field(field::BUNDLE_REF, |out| bundle.encode(out));
        }
        if let Some(trace) = &self.trace {
            writer.field(field::TRACE, |out| out.extend_from_slice(trace));
        }
    }
}
