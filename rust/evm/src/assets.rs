//! The assets account: balances of further assets, kept as storage of one system account and moved by calls to it.
//!
//! There is no code: a call to the account's address is answered by the functions of [`FUNCTIONS`], in a frame that pays
//! for slots, hashes and logs what code would pay, at the chain's own prices. Storage is in Solidity's layout:
//!
//! | slot | declaration |
//! |---|---|
//! | 0 | `mapping(bytes32 asset => mapping(address holder => uint256)) balances` |
//! | 1 | `mapping(bytes32 asset => mapping(address owner => mapping(address spender => uint256))) allowances` |
//! | 2 | `mapping(bytes32 asset => address) issuers` |
//! | 3 | `mapping(bytes32 asset => uint256) supplies` |
//!
//! An asset's balances always add up to its supply. A function that refuses reverts with a Solidity error that says why,
//! and leaves nothing behind. Only chains that enable assets have any of this.

use std::sync::OnceLock;

use types::{Address, B256, Log, U256, keccak256, system, tx::asset_transfer::AssetTransfer};

use crate::{
    frame::{Frame, Machine},
    instructions::storage,
    interpreter::{Exit, Flow},
    spec::opcodes,
};

const BALANCES: U256 = U256::ZERO;
const ALLOWANCES: U256 = U256::from_limbs([1, 0, 0, 0]);
const ISSUERS: U256 = U256::from_limbs([2, 0, 0, 0]);
const SUPPLIES: U256 = U256::from_limbs([3, 0, 0, 0]);

/// An answer's words, or how the frame ends instead.
type Answer = Result<Vec<U256>, Exit>;

struct Function {
    signature: &'static str,
    /// For each argument whether it is an address, whose upper bytes must be zero.
    arguments: &'static [bool],
    run: fn(&mut Desk<'_, '_, '_, '_>, &[U256]) -> Answer,
}

/// What can be called.
const FUNCTIONS: [Function; 10] = [
    Function { signature: "create(bytes32,uint256)", arguments: &[false; 2], run: create },
    Function { signature: "mint(bytes32,address,uint256)", arguments: &[false, true, false], run: mint },
    Function { signature: "burn(bytes32,uint256)", arguments: &[false; 2], run: burn },
    Function { signature: "transfer(bytes32,address,uint256)", arguments: &[false, true, false], run: transfer },
    Function { signature: "approve(bytes32,address,uint256)", arguments: &[false, true, false], run: approve },
    Function {
        signature: "transferFrom(bytes32,address,address,uint256)",
        arguments: &[false, true, true, false],
        run: transfer_from,
    },
    Function { signature: "balanceOf(bytes32,address)", arguments: &[false, true], run: balance_of },
    Function { signature: "allowance(bytes32,address,address)", arguments: &[false, true, true], run: allowance },
    Function { signature: "totalSupply(bytes32)", arguments: &[false], run: total_supply },
    Function { signature: "issuerOf(bytes32)", arguments: &[false], run: issuer_of },
];

const CREATED: &str = "Created(bytes32,address)";
const TRANSFER: &str = "Transfer(bytes32,address,address,uint256)";
const APPROVAL: &str = "Approval(bytes32,address,address,uint256)";
const MEMO: &str = "Memo(bytes32,address,address,bytes)";

/// Answers the frame's message.
pub(crate) fn call(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let input = frame.message.input.clone();
    let mut desk = Desk { frame, machine };
    if !desk.frame.message.value.is_zero() {
        return Err(desk.refuse("ValueNotAccepted()", &[]));
    }
    let Some((function, words)) = select(&input) else { return Err(desk.refuse("UnknownCall()", &[])) };
    let answer = (function.run)(&mut desk, &words)?;
    desk.frame.output = packed(&answer).into();
    Ok(())
}

/// The account's slot that names an asset's issuer; zero where there is no such asset.
pub fn issuer_slot(asset: B256) -> U256 {
    keccak256(packed(&[asset.into(), ISSUERS])).into()
}

/// Does all moves of a transaction, or none.
pub(crate) fn move_all(frame: &mut Frame, machine: &mut Machine<'_, '_>, transfer: &AssetTransfer) -> Flow {
    let mut desk = Desk { frame, machine };
    let sender = word(desk.frame.message.caller);
    for step in &transfer.moves {
        let (asset, recipient) = (step.asset.into(), word(step.recipient));
        desk.send(asset, sender, recipient, step.amount)?;
        if !step.memo.is_empty() {
            let length = step.memo.len();
            let mut data = packed(&[U256::from(32), U256::from(length)]);
            data.extend_from_slice(&step.memo);
            data.resize(64 + length.next_multiple_of(32), 0);
            desk.log(MEMO, &[asset, sender, recipient], data)?;
        }
    }
    Ok(())
}

/// Which function, and its arguments; None where the input is no call that anybody answers.
fn select(input: &[u8]) -> Option<(&'static Function, Vec<U256>)> {
    static SELECTORS: OnceLock<[[u8; 4]; FUNCTIONS.len()]> = OnceLock::new();
    let selectors = SELECTORS.get_or_init(|| FUNCTIONS.each_ref().map(|function| selector(function.signature)));
    let (named, arguments) = input.split_first_chunk::<4>()?;
    let function = &FUNCTIONS[selectors.iter().position(|known| known == named)?];
    let words: Vec<_> = arguments.as_chunks::<32>().0.iter().map(|word| U256::from_be_bytes(*word)).collect();
    let words = words.get(..function.arguments.len())?.to_vec();
    let fits = |(word, is_address): (&U256, &bool)| !is_address || word.byte_len() <= 20;
    words.iter().zip(function.arguments).all(fits).then_some((function, words))
}

fn selector(signature: &str) -> [u8; 4] {
    *keccak256(signature).first_chunk().expect("a hash has 32 bytes")
}

fn word(address: Address) -> U256 {
    address.into_word().into()
}

fn packed(words: &[U256]) -> Vec<u8> {
    words.iter().flat_map(U256::to_be_bytes::<32>).collect()
}

/// A frame at work: what is read, written and logged is paid for on the way.
struct Desk<'f, 'm, 'a, 'v> {
    frame: &'f mut Frame,
    machine: &'m mut Machine<'a, 'v>,
}

impl Desk<'_, '_, '_, '_> {
    fn charge_opcode(&mut self, opcode: u8) -> Flow {
        let price = u64::from(self.machine.schedule().opcode[usize::from(opcode)]);
        self.frame.charge(price)
    }

    /// Where a mapping at `place` keeps what it holds for `key`.
    fn entry(&mut self, place: U256, key: U256) -> Result<U256, Exit> {
        self.hash([key, place])
    }

    fn hash(&mut self, words: [U256; 2]) -> Result<U256, Exit> {
        self.charge_opcode(opcodes::KECCAK256)?;
        self.frame.charge_words(self.machine.schedule().keccak_word, 64)?;
        Ok(keccak256(packed(&words)).into())
    }

    fn read(&mut self, slot: U256) -> Result<U256, Exit> {
        self.charge_opcode(opcodes::SLOAD)?;
        storage::read(self.frame, self.machine, slot)
    }

    fn write(&mut self, slot: U256, value: U256) -> Flow {
        storage::write(self.frame, self.machine, slot, value)
    }

    fn log(&mut self, event: &str, indexed: &[U256], data: Vec<u8>) -> Flow {
        self.frame.forbid_static()?;
        self.charge_opcode(opcodes::LOG0 + 1 + indexed.len() as u8)?;
        self.frame.charge(self.machine.schedule().log_byte.saturating_mul(data.len() as u64))?;
        let topics = std::iter::once(keccak256(event)).chain(indexed.iter().map(|word| B256::from(*word)));
        self.machine.overlay.log(Log::new_unchecked(system::ASSETS, topics.collect(), data.into()));
        Ok(())
    }

    /// Ends the frame with a Solidity error.
    fn refuse(&mut self, error: &str, words: &[U256]) -> Exit {
        self.frame.output = [&selector(error)[..], &packed(words)].concat().into();
        Exit::Revert
    }

    fn balance_slot(&mut self, asset: U256, holder: U256) -> Result<U256, Exit> {
        let holders = self.entry(BALANCES, asset)?;
        self.entry(holders, holder)
    }

    fn allowance_slot(&mut self, asset: U256, owner: U256, spender: U256) -> Result<U256, Exit> {
        let owners = self.entry(ALLOWANCES, asset)?;
        let spenders = self.entry(owners, owner)?;
        self.entry(spenders, spender)
    }

    /// Takes from a balance that must suffice.
    fn take(&mut self, asset: U256, holder: U256, amount: U256) -> Flow {
        let slot = self.balance_slot(asset, holder)?;
        let held = self.read(slot)?;
        match held.checked_sub(amount) {
            Some(left) => self.write(slot, left),
            None => {
                Err(self.refuse("InsufficientBalance(bytes32,address,uint256,uint256)", &[asset, holder, held, amount]))
            }
        }
    }

    /// Adds to a balance. What is added was taken from another, or from what the supply had room for.
    fn give(&mut self, asset: U256, holder: U256, amount: U256) -> Flow {
        if holder.is_zero() {
            return Err(self.refuse("ZeroRecipient()", &[]));
        }
        let slot = self.balance_slot(asset, holder)?;
        let held = self.read(slot)?;
        self.write(slot, held.checked_add(amount).expect("balances add up to the supply"))
    }

    fn send(&mut self, asset: U256, from: U256, to: U256, amount: U256) -> Flow {
        self.take(asset, from, amount)?;
        self.give(asset, to, amount)?;
        self.log(TRANSFER, &[asset, from, to], packed(&[amount]))
    }

    /// Moves the supply; it must not run over.
    fn issue(&mut self, asset: U256, to: U256, amount: U256) -> Flow {
        let slot = self.entry(SUPPLIES, asset)?;
        let supply = self.read(slot)?;
        let Some(more) = supply.checked_add(amount) else {
            return Err(self.refuse("SupplyOverflow(bytes32,uint256,uint256)", &[asset, supply, amount]));
        };
        self.write(slot, more)?;
        self.give(asset, to, amount)?;
        self.log(TRANSFER, &[asset, U256::ZERO, to], packed(&[amount]))
    }

    fn caller(&self) -> U256 {
        word(self.frame.message.caller)
    }
}

const YES: [U256; 1] = [U256::ONE];

/// The asset's name is the hash of who made it and a salt, so that nobody can take another's.
fn create(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let issuer = desk.caller();
    let asset = desk.hash([issuer, words[0]])?;
    let slot = desk.entry(ISSUERS, asset)?;
    if !desk.read(slot)?.is_zero() {
        return Err(desk.refuse("AssetExists(bytes32)", &[asset]));
    }
    desk.write(slot, issuer)?;
    desk.log(CREATED, &[asset, issuer], Vec::new())?;
    desk.issue(asset, issuer, words[1])?;
    Ok(vec![asset])
}

fn mint(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let (asset, caller) = (words[0], desk.caller());
    let slot = desk.entry(ISSUERS, asset)?;
    if desk.read(slot)? != caller {
        return Err(desk.refuse("NotIssuer(bytes32,address)", &[asset, caller]));
    }
    desk.issue(asset, words[1], words[2])?;
    Ok(YES.to_vec())
}

fn burn(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let (asset, amount, holder) = (words[0], words[1], desk.caller());
    desk.take(asset, holder, amount)?;
    let slot = desk.entry(SUPPLIES, asset)?;
    let supply = desk.read(slot)?;
    desk.write(slot, supply.checked_sub(amount).expect("balances add up to the supply"))?;
    desk.log(TRANSFER, &[asset, holder, U256::ZERO], packed(&[amount]))?;
    Ok(YES.to_vec())
}

fn transfer(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let from = desk.caller();
    desk.send(words[0], from, words[1], words[2])?;
    Ok(YES.to_vec())
}

fn approve(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let (asset, owner, spender, amount) = (words[0], desk.caller(), words[1], words[2]);
    let slot = desk.allowance_slot(asset, owner, spender)?;
    desk.write(slot, amount)?;
    desk.log(APPROVAL, &[asset, owner, spender], packed(&[amount]))?;
    Ok(YES.to_vec())
}

/// An allowance of all there can be is not used up, as most tokens have it.
fn transfer_from(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let (asset, from, to, amount, spender) = (words[0], words[1], words[2], words[3], desk.caller());
    let slot = desk.allowance_slot(asset, from, spender)?;
    let allowed = desk.read(slot)?;
    let Some(left) = allowed.checked_sub(amount) else {
        let words = [asset, from, spender, allowed, amount];
        return Err(desk.refuse("InsufficientAllowance(bytes32,address,address,uint256,uint256)", &words));
    };
    if allowed != U256::MAX {
        desk.write(slot, left)?;
    }
    desk.send(asset, from, to, amount)?;
    Ok(YES.to_vec())
}

fn balance_of(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let slot = desk.balance_slot(words[0], words[1])?;
    Ok(vec![desk.read(slot)?])
}

fn allowance(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let slot = desk.allowance_slot(words[0], words[1], words[2])?;
    Ok(vec![desk.read(slot)?])
}

fn total_supply(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let slot = desk.entry(SUPPLIES, words[0])?;
    Ok(vec![desk.read(slot)?])
}

fn issuer_of(desk: &mut Desk<'_, '_, '_, '_>, words: &[U256]) -> Answer {
    let slot = desk.entry(ISSUERS, words[0])?;
    Ok(vec![desk.read(slot)?])
}
