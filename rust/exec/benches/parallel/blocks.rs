//! The blocks that are measured: ten thousand transactions each, a thousand of swaps, senders known, state in hash maps.

use alloy_primitives::map::{AddressHashMap, B256HashMap, HashMap};
use evm::{BlockEnv, ChainSpec, Fork, Rules};
use state::{View, ViewError};
use types::{
    Account, Address, B256, Bytes, EMPTY_CODE_HASH, Recovered, Signature, Transaction, TxKind, U256, keccak256,
    tx::TxEip1559,
};

const TRANSACTIONS: u64 = 10_000;

/// Accounts that conflicting blocks fight over.
const HOT: u64 = 16;

const TOKEN: &str = include_str!("../../../compare/contracts/token.hex");
const EXCHANGE: &str = include_str!("../../../compare/contracts/exchange.hex");

/// Words x and m of call data after the selector: v = slot[x]; slot[x] = v + 1; slot[2^255 | hash(v, x) % m] += 1. So
/// whoever names the same x clashes, and where m is small, others do whom only what was stored before can tell.
const WALKER: &str = "6004358054806001018255600052602052602435604060002006600160ff1b178054600101905500";

/// A block and the state before it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many times as fast as in sequence it has to be.
    pub(crate) target: f64,
    pub(crate) rules: Rules,
    pub(crate) env: BlockEnv,
    pub(crate) transactions: Vec<Recovered>,
    pub(crate) view: Flat,
}

/// A state in hash maps.
#[derive(Default)]
pub(crate) struct Flat {
    accounts: AddressHashMap<Account>,
    slots: AddressHashMap<HashMap<U256, U256>>,
    codes: B256HashMap<Bytes>,
}

impl View for Flat {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        Ok(self.accounts.get(address).copied())
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        Ok(self.slots.get(address).and_then(|slots| slots.get(slot)).copied().unwrap_or_default())
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.codes.get(hash).cloned().ok_or(ViewError::MissingCode(*hash))
    }
    fn block_hash(&self, _: u64) -> Result<B256, ViewError> {
        Ok(B256::ZERO)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        let mut slots: Vec<_> =
            self.slots.get(address).into_iter().flatten().map(|(key, value)| (*key, *value)).collect();
        slots.sort_unstable();
        Ok(slots)
    }
}

impl Flat {
    fn rich(&mut self, address: Address) {
        let account = Account { balance: U256::from(10_u64.pow(18)), ..Account::default() };
        self.accounts.insert(address, account);
    }

    fn contract(&mut self, address: Address, code: &str) {
        let code: Bytes = code.trim().parse().expect("the compiler wrote hex");
        let code_hash = keccak256(&code);
        assert_ne!(code_hash, EMPTY_CODE_HASH);
        self.accounts.insert(address, Account { nonce: 1, code_hash, ..Account::default() });
        self.codes.insert(code_hash, code);
    }

    fn put(&mut self, contract: Address, slot: U256, value: U256) {
        self.slots.entry(contract).or_default().insert(slot, value);
    }
}

fn party(role: &str, index: u64) -> Address {
    Address::from_word(keccak256(format!("{role} {index}")))
}

fn word(address: Address) -> U256 {
    address.into_word().into()
}

/// The slot of a mapping's value.
fn at(mapping: U256, key: Address) -> U256 {
    keccak256([key.into_word().0, mapping.to_be_bytes()].concat()).into()
}

fn call(signature: &str, arguments: &[U256]) -> Bytes {
    let mut data = keccak256(signature)[..4].to_vec();
    data.extend(arguments.iter().flat_map(U256::to_be_bytes::<32>));
    data.into()
}

/// What one transaction of a block does.
struct Send {
    from: Address,
    nonce: u64,
    to: Address,
    value: u64,
    input: Bytes,
    gas: u64,
}

fn case(name: &'static str, target: f64, view: Flat, sends: impl Iterator<Item = Send>) -> Case {
    let signed = |send: Send| {
        let tx = TxEip1559 {
            chain_id: 1,
            nonce: send.nonce,
            gas_limit: send.gas,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(send.to),
            value: U256::from(send.value),
            input: send.input,
            ..TxEip1559::default()
        };
        Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), send.from)
    };
    let env = BlockEnv {
        number: 1,
        timestamp: 1_000,
        beneficiary: Address::repeat_byte(0xfe),
        gas_limit: u64::MAX,
        base_fee: Some(7),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    };
    let rules = ChainSpec::at(1, Fork::Cancun).rules(1, 1);
    Case { name, target, rules, env, transactions: sends.map(signed).collect(), view }
}

/// Transfers of wei between pairs that meet nobody else.
fn transfers() -> Case {
    let mut view = Flat::default();
    for index in 0..TRANSACTIONS {
        view.rich(party("sender", index));
        view.rich(party("recipient", index));
    }
    let sends = (0..TRANSACTIONS).map(|index| Send {
        from: party("sender", index),
        nonce: 0,
        to: party("recipient", index),
        value: 1 + index,
        input: Bytes::new(),
        gas: 21_000,
    });
    case("10,000 transfers, no conflict", 1.6, view, sends)
}

/// Transfers of a token; of a hundred, so many go to one of a few hot holders.
fn tokens(name: &'static str, target: f64, hot_percent: u64, hot: u64) -> Case {
    let token = Address::repeat_byte(0x70);
    let mut view = Flat::default();
    view.contract(token, TOKEN);
    let recipient = |index: u64| match index * 37 % 100 < hot_percent {
        true => party("hot", index * 7 % hot),
        false => party("recipient", index),
    };
    for index in 0..TRANSACTIONS {
        view.rich(party("sender", index));
        view.put(token, at(U256::ZERO, party("sender", index)), U256::from(10_u64.pow(18)));
        view.put(token, at(U256::ZERO, recipient(index)), U256::ONE);
    }
    let sends = (0..TRANSACTIONS).map(|index| Send {
        from: party("sender", index),
        nonce: 0,
        to: token,
        value: 0,
        input: call("transfer(address,uint256)", &[word(recipient(index)), U256::from(1 + index)]),
        gas: 60_000,
    });
    case(name, target, view, sends)
}

/// Swaps, one trader each, over so many exchanges with two tokens of their own.
fn swaps(name: &'static str, target: f64, exchanges: u64) -> Case {
    const SWAPS: u64 = 2_000;
    let mut view = Flat::default();
    let tokens = |index: u64| [party("token", 2 * index), party("token", 2 * index + 1)];
    let reserve = U256::from(10).pow(U256::from(24));
    for index in 0..exchanges {
        let exchange = party("exchange", index);
        view.contract(exchange, EXCHANGE);
        view.put(exchange, U256::ZERO, word(tokens(index)[0]));
        view.put(exchange, U256::ONE, word(tokens(index)[1]));
        view.put(exchange, U256::from(2), reserve | reserve << 112);
        view.put(exchange, U256::from(5), U256::ONE);
        for token in tokens(index) {
            view.contract(token, TOKEN);
            view.put(token, at(U256::ZERO, exchange), reserve);
        }
    }
    for trader in 0..SWAPS {
        view.rich(party("trader", trader));
        let exchange = party("exchange", trader % exchanges);
        let [given, _] = tokens(trader % exchanges);
        view.put(given, at(U256::ZERO, party("trader", trader)), U256::from(10_u64.pow(18)));
        view.put(given, at(at(U256::ONE, party("trader", trader)), exchange), U256::from(10_u64.pow(18)));
    }
    let sends = (0..SWAPS).map(|trader| Send {
        from: party("trader", trader),
        nonce: 0,
        to: party("exchange", trader % exchanges),
        value: 0,
        input: call(
            "swap(bool,uint256,uint256,address)",
            &[U256::ONE, U256::from(1_000_000 + trader), U256::ONE, word(party("trader", trader))],
        ),
        gas: 300_000,
    });
    case(name, target, view, sends)
}

/// Calls of which a tenth clash at slots that nothing said beforehand: numbers in call data are no hint. Where they move,
/// a transaction that runs again after others touches other slots than before.
fn surprises(name: &'static str, moving: bool) -> Case {
    const PLACES: u64 = 500;
    let walker = Address::repeat_byte(0x3a);
    let mut view = Flat::default();
    view.contract(walker, WALKER);
    (0..TRANSACTIONS).for_each(|index| view.rich(party("sender", index)));
    let sends = (0..TRANSACTIONS).map(|index| {
        let surprises = index % 10 == 0;
        let place = if surprises { 1 + index / 10 * 7_919 % PLACES } else { 1_000_000 + index };
        let range = if surprises && moving { 2 * PLACES } else { u64::MAX };
        Send {
            from: party("sender", index),
            nonce: 0,
            to: walker,
            value: 0,
            input: call("walk(uint256,uint256)", &[U256::from(place), U256::from(range)]),
            gas: 150_000,
        }
    });
    case(name, 0.95, view, sends)
}

/// All that was promised.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        transfers(),
        tokens("10,000 token transfers, no conflict", 1.8, 0, HOT),
        swaps("2,000 swaps on 500 exchanges", 1.9, 500),
        tokens("10,000 token transfers, half to 16 accounts", 1.5, 50, HOT),
        tokens("10,000 token transfers, 80 % to 16 accounts", 1.2, 80, HOT),
        swaps("2,000 swaps on one exchange", 0.95, 1),
        tokens("10,000 token transfers to one account, a single chain", 0.95, 100, 1),
        surprises("10,000 calls, a tenth of them in conflicts that nobody foresees", false),
        surprises("10,000 calls, a tenth of them in conflicts that move when they run again", true),
    ]
}
