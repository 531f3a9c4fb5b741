//! What an ArbitrageSignal says: fields 0001 to 0006. Lists stay in the frame and are read where they are asked for.

use types::{Address, U256};

use super::{
    WireCode, WireError, field,
    frame::{Field, exactly, i128_at, u16_at, u64_at, u128_at},
};

macro_rules! numbered {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$inner])* $variant = $number,)* }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The one with this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use numbered;

numbered! {
    /// How the arbitrage gets its capital.
    Action {
        /// Out of the first pool, repaid in its callback.
        FlashSwap = 0,
        /// From an ERC-3156 lender.
        FlashLoan = 1,
        /// From a lending pool that calls `executeOperation`.
        PoolLoan = 2,
        /// Call data as given.
        RawCall = 3,
    }
}

numbered! {
    /// Which way a transaction goes to a block.
    Channel {
        /// As the engine is configured.
        Default = 0,
        /// To every node.
        Public = 1,
        /// To builders only.
        Private = 2,
        /// To builders first, then to every node.
        Hybrid = 3,
    }
}

/// Field 0001.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The source's name for it.
    pub signal_id: u64,
    /// When the source made it.
    pub created_unix_ns: u64,
    /// Which of the source's strategies.
    pub strategy_id: u16,
    /// Where the capital comes from.
    pub action: Action,
    /// Which way it goes.
    pub channel: Channel,
    /// For which chain.
    pub chain_id: u64,
}

impl Identity {
    pub(super) fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 32)?;
        zeros(field, 20..24)?;
        Ok(Self {
            signal_id: u64_at(value, 0),
            created_unix_ns: u64_at(value, 8),
            strategy_id: u16_at(value, 16),
            action: Action::from_number(value[18]).ok_or(field.refuse(WireCode::Range, 18))?,
            channel: Channel::from_number(value[19]).ok_or(field.refuse(WireCode::Range, 19))?,
            chain_id: u64_at(value, 24),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.signal_id.to_le_bytes());
        out.extend_from_slice(&self.created_unix_ns.to_le_bytes());
        out.extend_from_slice(&self.strategy_id.to_le_bytes());
        out.extend_from_slice(&[self.action as u8, self.channel as u8, 0, 0, 0, 0]);
        out.extend_from_slice(&self.chain_id.to_le_bytes());
    }
}

/// The number of basis points that stands for "as the engine is configured".
const ENGINES_CHOICE: u16 = 0xffff;
const WHOLE_BPS: u16 = 10_000;

/// Field 0002. What is zero or FFFF on the wire for "the engine's choice" is None here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Economics {
    /// In the profit token's smallest unit.
    pub expected_profit: i128,
    /// In wei.
    pub expected_profit_wei: i128,
    /// In the borrowed token's smallest unit.
    pub required_capital: u128,
    /// Zero: unknown.
    pub gas_estimate: u64,
    /// How much less than expected may be made, in basis points.
    pub slippage_bps: Option<u16>,
    /// How much of the profit may go to the block's producer, in basis points.
    pub tip_share_bps: Option<u16>,
    /// Highest fee for a unit of gas.
    pub max_fee: Option<u64>,
    /// Highest tip for a unit of gas.
    pub max_priority: Option<u64>,
    /// The block whose state it was computed on.
    pub state_block: u64,
    /// Last block it is worth anything in.
    pub valid_until_block: Option<u64>,
    /// Last moment it is worth anything at.
    pub valid_until_ns: Option<u64>,
    /// How sure the source is, in basis points.
    pub confidence_bps: u16,
}

impl Economics {
    pub(super) fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 112)?;
        zeros(field, 60..64)?;
        zeros(field, 106..112)?;
        let share = |at| match u16_at(value, at) {
            ENGINES_CHOICE => Ok(None),
            share if share <= WHOLE_BPS => Ok(Some(share)),
            _ => Err(field.refuse(WireCode::Range, at)),
        };
        let given = |at| Some(u64_at(value, at)).filter(|number| *number != 0);
        let confidence_bps = u16_at(value, 104);
        if confidence_bps > WHOLE_BPS {
            return Err(field.refuse(WireCode::Range, 104));
        }
        Ok(Self {
            expected_profit: i128_at(value, 0),
            expected_profit_wei: i128_at(value, 16),
            required_capital: u128_at(value, 32),
            gas_estimate: u64_at(value, 48),
            slippage_bps: share(56)?,
            tip_share_bps: share(58)?,
            max_fee: given(64),
            max_priority: given(72),
            state_block: u64_at(value, 80),
            valid_until_block: given(88),
            valid_until_ns: given(96),
            confidence_bps,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.expected_profit.to_le_bytes());
        out.extend_from_slice(&self.expected_profit_wei.to_le_bytes());
        out.extend_from_slice(&self.required_capital.to_le_bytes());
        out.extend_from_slice(&self.gas_estimate.to_le_bytes());
        for share in [self.slippage_bps, self.tip_share_bps] {
            out.extend_from_slice(&share.unwrap_or(ENGINES_CHOICE).to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        for number in [self.max_fee, self.max_priority] {
            out.extend_from_slice(&number.unwrap_or(0).to_le_bytes());
        }
        out.extend_from_slice(&self.state_block.to_le_bytes());
        for number in [self.valid_until_block, self.valid_until_ns] {
            out.extend_from_slice(&number.unwrap_or(0).to_le_bytes());
        }
        out.extend_from_slice(&self.confidence_bps.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
    }
}

/// Most pools of a path.
pub const POOLS_MAX: usize = 8;
/// Most tokens of a path.
pub const TOKENS_MAX: usize = 9;
/// Most amounts.
pub const AMOUNTS_MAX: usize = 8;

/// Field 0003, in the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Addresses<'a>(&'a [u8]);

impl<'a> Addresses<'a> {
    pub(super) fn decode(field: &Field<'a>) -> Result<Self, WireError> {
        let value = field.value;
        if value.len() < 44 {
            return Err(WireError::new(WireCode::FieldLength, field.offset - 2));
        }
        for (at, range) in [(40, 1..=POOLS_MAX), (41, 2..=TOKENS_MAX), (42, 1..=AMOUNTS_MAX)] {
            if !range.contains(&usize::from(value[at])) {
                return Err(field.refuse(WireCode::Range, at));
            }
        }
        zeros(field, 43..44)?;
        let addresses = Self(value);
        sized(field, addresses.amounts_at() + 32 * addresses.count(42))?;
        Ok(addresses)
    }

    fn count(&self, at: usize) -> usize {
        usize::from(self.0[at])
    }

    fn tokens_at(&self) -> usize {
        44 + 20 * self.count(40)
    }

    fn amounts_at(&self) -> usize {
        self.tokens_at() + 20 * self.count(41)
    }

    fn address_at(&self, at: usize) -> Address {
        Address::new(exactly(&self.0[at..]))
    }

    /// The contract to call; None: the engine's.
    pub fn contract(&self) -> Option<Address> {
        Some(self.address_at(0)).filter(|contract| !contract.is_zero())
    }

    /// What the profit is counted in.
    pub fn profit_token(&self) -> Address {
        self.address_at(20)
    }

    /// The pools, in the order they are used.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = Address> + Clone + use<'a> {
        let this = *self;
        (0..this.count(40)).map(move |index| this.address_at(44 + 20 * index))
    }

    /// The tokens along the path.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = Address> + Clone + use<'a> {
        let this = *self;
        (0..this.count(41)).map(move |index| this.address_at(this.tokens_at() + 20 * index))
    }

    /// The amounts along the path.
    pub fn amounts(&self) -> impl ExactSizeIterator<Item = U256> + Clone + use<'a> {
        let this = *self;
        (0..this.count(42)).map(move |index| {
            let at = this.amounts_at() + 32 * index;
            U256::from_le_bytes::<32>(exactly(&this.0[at..]))
        })
    }
}

impl std::fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Addresses")
            .field("contract", &self.contract())
            .field("profit_token", &self.profit_token())
            .field("pools", &self.pools().collect::<Vec<_>>())
            .field("tokens", &self.tokens().collect::<Vec<_>>())
            .field("amounts", &self.amounts().collect::<Vec<_>>())
            .finish()
    }
}

/// One entry of field 0004: how a pool is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The pool's kind, as the contract numbers them.
    pub kind: u8,
    /// Whether its first token goes in.
    pub zero_for_one: bool,
    /// The pool's fee in hundredths of a percent.
    pub fee: u16,
}

impl Hop {
    /// As it stands on the wire and in call data.
    pub fn to_bytes(self) -> [u8; 4] {
        let [low, high] = self.fee.to_le_bytes();
        [self.kind, u8::from(self.zero_for_one), low, high]
    }

    fn from_bytes([kind, flags, low, high]: [u8; 4]) -> Self {
        Self { kind, zero_for_one: flags & 1 != 0, fee: u16::from_le_bytes([low, high]) }
    }
}

/// Field 0006: who lends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lender {
    /// Its contract.
    pub address: Address,
    /// Its kind, as the contract numbers them.
    pub kind: u8,
    /// What it takes, in basis points.
    pub fee_bps: u16,
}

impl Lender {
    fn decode(field: &Field<'_>) -> Result<Self, WireError> {
        let value = sized(field, 24)?;
        zeros(field, 21..22)?;
        Ok(Self { address: Address::new(exactly(value)), kind: value[20], fee_bps: u16_at(value, 22) })
    }
}

/// Most bytes of call data in a raw call.
pub const RAW_CALL_MAX: usize = 49_152;

/// An arbitrage that somebody found, as it stands in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal<'a> {
    /// Field 0001.
    pub identity: Identity,
    /// Field 0002.
    pub economics: Economics,
    /// Field 0003.
    pub addresses: Addresses<'a>,
    hops: &'a [u8],
    /// Field 0005.
    pub raw_call: Option<&'a [u8]>,
    /// Field 0006.
    pub lender: Option<Lender>,
    /// Field 8001: trace and span.
    pub trace: Option<[u8; 24]>,
}

impl<'a> Signal<'a> {
    /// How each pool is used; empty where field 0004 is missing.
    pub fn hops(&self) -> impl ExactSizeIterator<Item = Hop> + Clone + use<'a> {
        self.hops.as_chunks::<4>().0.iter().map(|hop| Hop::from_bytes(*hop))
    }

    pub(super) fn decode(fields: impl Iterator<Item = Field<'a>>, end: usize) -> Result<Self, WireError> {
        let missing = WireError::new(WireCode::FieldMissing, end);
        let (mut identity, mut economics, mut addresses) = (None, None, None);
        let (mut hops, mut raw_call, mut lender, mut trace) = (&[][..], None, None, None);
        for field in fields {
            match field.kind {
                field::IDENTITY => identity = Some(Identity::decode(&field)?),
                field::ECONOMICS => economics = Some(Economics::decode(&field)?),
                field::ADDRESSES => addresses = Some(Addresses::decode(&field)?),
                field::HOPS => {
                    let pools = addresses.ok_or(missing)?.count(40);
                    hops = sized(&field, 4 * pools)?;
                    if let Some(pool) = (0..pools).find(|pool| hops[4 * pool + 1] > 1) {
                        return Err(field.refuse(WireCode::Range, 4 * pool + 1));
                    }
                }
                field::RAW_CALL => {
                    if field.value.len() > RAW_CALL_MAX {
                        return Err(WireError::new(WireCode::FieldLength, field.offset - 2));
                    }
                    raw_call = Some(field.value);
                }
                field::LENDER => lender = Some(Lender::decode(&field)?),
                field::TRACE => trace = Some(exactly(sized(&field, 24)?)),
                _ => {}
            }
        }
        let required = (identity.ok_or(missing)?, economics.ok_or(missing)?, addresses.ok_or(missing)?);
        let (identity, economics, addresses) = required;
        Ok(Self { identity, economics, addresses, hops, raw_call, lender, trace })
    }
}

/// A signal to be written: what [`Signal`] borrows, as lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalParts {
    /// Field 0001.
    pub identity: Identity,
    /// Field 0002.
    pub economics: Economics,
    /// Of field 0003.
    pub contract: Option<Address>,
    /// Of field 0003.
    pub profit_token: Address,
    /// Of field 0003: 1 to 8.
    pub pools: Vec<Address>,
    /// Of field 0003: 2 to 9.
    pub tokens: Vec<Address>,
    /// Of field 0003: 1 to 8.
    pub amounts: Vec<U256>,
    /// Field 0004: none, or one for each pool.
    pub hops: Vec<Hop>,
    /// Field 0005.
    pub raw_call: Option<Vec<u8>>,
    /// Field 0006.
    pub lender: Option<Lender>,
    /// Field 8001.
    pub trace: Option<[u8; 24]>,
}

impl SignalParts {
    pub(super) fn encode(&self, writer: &mut super::FrameWriter) {
        writer.field(field::IDENTITY, |out| self.identity.encode(out));
        writer.field(field::ECONOMICS, |out| self.economics.encode(out));
        writer.field(field::ADDRESSES, |out| {
            out.extend_from_slice(self.contract.unwrap_or_default().as_slice());
            out.extend_from_slice(self.profit_token.as_slice());
            out.extend([self.pools.len(), self.tokens.len(), self.amounts.len(), 0].map(|count| count as u8));
            for address in self.pools.iter().chain(&self.tokens) {
                out.extend_from_slice(address.as_slice());
            }
            for amount in &self.amounts {
                out.extend_from_slice(&amount.to_le_bytes::<32>());
            }
        });
        if !self.hops.is_empty() {
            writer.field(field::HOPS, |out| self.hops.iter().for_each(|hop| out.extend(hop.to_bytes())));
        }
        if let Some(call) = &self.raw_call {
            writer.field(field::RAW_CALL, |out| out.extend_from_slice(call));
        }
        if let Some(lender) = &self.lender {
            writer.field(field::LENDER, |out| {
                out.extend_from_slice(lender.address.as_slice());
                out.extend([lender.kind, 0]);
                out.extend(lender.fee_bps.to_le_bytes());
            });
        }
        if let Some(trace) = &self.trace {
            writer.field(field::TRACE, |out| out.extend_from_slice(trace));
        }
    }
}

impl From<&Signal<'_>> for SignalParts {
    fn from(signal: &Signal<'_>) -> Self {
        Self {
            identity: signal.identity,
            economics: signal.economics,
            contract: signal.addresses.contract(),
            profit_token: signal.addresses.profit_token(),
            pools: signal.addresses.pools().collect(),
            tokens: signal.addresses.tokens().collect(),
            amounts: signal.addresses.amounts().collect(),
            hops: signal.hops().collect(),
            raw_call: signal.raw_call.map(<[u8]>::to_vec),
            lender: signal.lender,
            trace: signal.trace,
        }
    }
}

/// The value, where it has the length of its type.
pub(super) fn sized<'a>(field: &Field<'a>, length: usize) -> Result<&'a [u8], WireError> {
    if field.value.len() == length {
        Ok(field.value)
    } else {
        Err(WireError::new(WireCode::FieldLength, field.offset - 2))
    }
}

/// Reserved bytes of a value.
pub(super) fn zeros(field: &Field<'_>, mut range: std::ops::Range<usize>) -> Result<(), WireError> {
    match range.find(|at| field.value[*at] != 0) {
        None => Ok(()),
        Some(at) => Err(field.refuse(WireCode::Reserved, at)),
    }
}
