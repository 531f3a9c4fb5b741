//! A world of a few accounts, and a transaction.

use std::{fmt, sync::LazyLock};

use evm::{BlockEnv, ChainSpec, Fork, Rules, frame::delegation_to, transact::validate};
use state::MemoryState;
use types::{
    AccessList, AccessListItem, Address, Authorization, B256, Bytes, Key, Recovered, Signature, Transaction, TxKind,
    U256, keccak256,
    tx::{TxBlob, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
};

use super::{
    dice::Dice,
    program::{self, Known},
};
use crate::rival;

const CHAIN: u64 = 1;
const SENDER: Address = Address::repeat_byte(0xca);
const CONTRACTS: [Address; 3] = [Address::repeat_byte(0xa1), Address::repeat_byte(0xb2), Address::repeat_byte(0xc3)];
const PLAIN: Address = Address::repeat_byte(0xe0);
const ABSENT: Address = Address::repeat_byte(0xd5);
const BENEFICIARY: Address = Address::repeat_byte(0xfe);

/// Accounts that sign authorizations; the first delegates already where there are delegations.
static KEYS: LazyLock<[(Key, Address); 2]> = LazyLock::new(|| {
    ["one", "two"].map(|name| {
        let key = Key::from_bytes(&keccak256(name)).expect("a key");
        let address = key.address();
        (key, address)
    })
});

/// A transaction and all that it depends on.
pub struct Case {
    pub rules: Rules,
    pub env: BlockEnv,
    pub state: MemoryState,
    pub tx: Recovered,
    parts: Parts,
}

/// What a transaction is made of, whatever its kind.
#[derive(Clone)]
struct Parts {
    kind: u8,
    protected: bool,
    nonce: u64,
    gas_limit: u64,
    price: u128,
    tip: u128,
    to: TxKind,
    value: U256,
    input: Bytes,
    access_list: AccessList,
    blobs: Vec<B256>,
    authorizations: Vec<types::SignedAuthorization>,
}

impl Case {
    pub fn new(dice: &mut Dice) -> Self {
        let forks: Vec<Fork> = Fork::ALL.into_iter().filter(|fork| rival::spec(*fork).is_some()).collect();
        let fork = dice.pick(&forks);
        let rules = ChainSpec::at(CHAIN, fork).rules(1, 1);
        let accounts = [&CONTRACTS[..], &CONTRACTS[..], &[PLAIN, ABSENT, SENDER, BENEFICIARY, KEYS[0].1]].concat();
        let known = Known { fork, accounts: &accounts };
        let mut state = MemoryState::default();
        for address in CONTRACTS {
            let balance = U256::from(dice.below(5));
            let code = program::contract(dice, &known);
            state.insert(address, 1, balance, code.into());
            for slot in 0..5 {
                if dice.chance(1, 2) {
                    let value = U256::from(1 + dice.below(3));
                    state.set_storage(address, U256::from(slot), value);
                }
            }
        }
        state.insert(SENDER, 5, U256::from(10_u64.pow(18)), Bytes::new());
        state.insert(PLAIN, 0, U256::from(7), Bytes::new());
        if fork < Fork::SpuriousDragon && dice.chance(1, 2) {
            state.insert(BENEFICIARY, 0, U256::ZERO, Bytes::new());
        }
        let code =
            if fork >= Fork::Prague && dice.chance(2, 3) { delegation_to(dice.pick(&accounts)) } else { Bytes::new() };
        state.insert(KEYS[0].1, 3, U256::from(9), code);
        for number in 700..1_000 {
            state.block_hashes.insert(number, keccak256(number.to_be_bytes()));
        }
        let env = BlockEnv {
            number: 1_000,
            timestamp: 1_700_000_000,
            beneficiary: if dice.chance(1, 8) { dice.pick(&accounts) } else { BENEFICIARY },
            gas_limit: 1 << 30,
            base_fee: (fork >= Fork::London).then(|| dice.below(20)),
            difficulty: if fork < Fork::Paris { U256::from(dice.next()) } else { U256::ZERO },
            prev_randao: B256::from(U256::from(dice.next())),
            excess_blob_gas: (fork >= Fork::Cancun).then(|| dice.below(1 << 25)),
            ..BlockEnv::default()
        };
        let parts = Parts::new(dice, &rules, &env, &accounts);
        Self { tx: parts.transaction(), rules, env, state, parts }
    }

    /// The same with another gas limit.
    pub fn limit(&mut self, gas_limit: u64) {
        self.parts.gas_limit = gas_limit;
        self.tx = self.parts.transaction();
    }
}

impl Parts {
    fn new(dice: &mut Dice, rules: &Rules, env: &BlockEnv, accounts: &[Address]) -> Self {
        let fork = rules.fork;
        let kinds =
            1 + [Fork::Berlin, Fork::London, Fork::Cancun, Fork::Prague].iter().filter(|since| fork >= **since).count();
        let mut kind = dice.below(kinds as u64) as u8;
        // Signatures are slow to make and to recover.
        if kind == 4 && dice.chance(4, 5) {
            kind = 2;
        }
        let to = match dice.below(12) {
            0 if kind < 3 => TxKind::Create,
            1 => TxKind::Call(dice.pick(accounts)),
            2 => TxKind::Call(Address::with_last_byte(1 + dice.below(18) as u8)),
            _ => TxKind::Call(CONTRACTS[0]),
        };
        let input: Vec<u8> = if to == TxKind::Create {
            program::init(dice)
        } else {
            let length = dice.pick(&[0, 0, 4, 32, 68, 128, 213]);
            (0..length).map(|_| if dice.chance(1, 3) { 0 } else { dice.next() as u8 }).collect()
        };
        let access_list = (0..dice.below(3)).map(|_| AccessListItem {
            address: dice.pick(accounts),
            storage_keys: (0..dice.below(3)).map(|_| B256::from(U256::from(dice.below(5)))).collect(),
        });
        let access_list = AccessList(if kind == 0 { Vec::new() } else { access_list.collect() });
        let blobs = (0..u64::from(kind == 3) * (1 + dice.below(rules.blobs.max.min(6))))
            .map(|_| B256::from((U256::from(1) << 248) | U256::from(dice.next())));
        let blobs = blobs.collect();
        let authorizations = (0..u64::from(kind == 4) * (1 + dice.below(3))).map(|_| {
            let (key, _) = &KEYS[dice.below(2) as usize];
            let address = if dice.chance(1, 6) { Address::ZERO } else { dice.pick(accounts) };
            let authorization = Authorization {
                chain_id: U256::from(dice.pick(&[0, CHAIN, CHAIN, 9])),
                address,
                nonce: dice.pick(&[0, 0, 1, 3, 3, 4]),
            };
            let signature = key.sign(&authorization.signature_hash());
            authorization.into_signed(signature)
        });
        let authorizations = authorizations.collect();
        let base_fee = u128::from(env.base_fee.unwrap_or_default());
        let price = base_fee + u128::from(dice.below(5));
        Self {
            kind,
            protected: fork >= Fork::SpuriousDragon && dice.chance(1, 2),
            nonce: if dice.chance(1, 60) { 6 } else { 5 },
            gas_limit: if fork < Fork::Tangerine { 300_000 } else { 1_000_000 },
            price,
            tip: u128::from(dice.below(5)).min(price),
            to,
            value: if dice.chance(1, 3) { U256::from(dice.below(4)) } else { U256::ZERO },
            input: input.into(),
            access_list,
            blobs,
            authorizations,
        }
    }

    fn transaction(&self) -> Recovered {
        let Self { kind, protected, nonce, gas_limit, price, tip, to, value, .. } = *self;
        let (input, access_list) = (self.input.clone(), self.access_list.clone());
        let recipient = to.to().copied().unwrap_or_default();
        let signature = Signature::test_signature();
        let tx = match kind {
            0 => {
                let chain_id = protected.then_some(CHAIN);
                let tx = TxLegacy { chain_id, nonce, gas_price: price, gas_limit, to, value, input };
                Transaction::from_parts(tx, signature)
            }
            1 => {
                let tx =
                    TxEip2930 { chain_id: CHAIN, nonce, gas_price: price, gas_limit, to, value, input, access_list };
                Transaction::from_parts(tx, signature)
            }
            2 => {
                let tx = TxEip1559 {
                    chain_id: CHAIN,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    input,
                    access_list,
                };
                Transaction::from_parts(tx, signature)
            }
            3 => {
                let tx = TxBlob {
                    chain_id: CHAIN,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to: recipient,
                    value,
                    input,
                    access_list,
                    blob_versioned_hashes: self.blobs.clone(),
                    max_fee_per_blob_gas: 1_000_000,
                };
                Transaction::from_parts(tx, signature)
            }
            _ => {
                let tx = TxEip7702 {
                    chain_id: CHAIN,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to: recipient,
                    value,
                    input,
                    access_list,
                    authorization_list: self.authorizations.clone(),
                };
                Transaction::from_parts(tx, signature)
            }
        };
        Recovered::new(tx, SENDER)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {:?}", self.rules.fork, self.env)?;
        for (address, account) in &self.state.accounts {
            let code = self.state.codes.get(&account.code_hash).cloned().unwrap_or_default();
            let storage = self.state.storage.get(address);
            writeln!(
                f,
                "{address} nonce {} balance {} code {code} storage {storage:?}",
                account.nonce, account.balance
            )?;
        }
        let cost = validate::cost_max(&self.tx.transaction);
        write!(f, "from {} costs at most {cost}: {:?}", self.tx.sender, self.tx.transaction)
    }
}
