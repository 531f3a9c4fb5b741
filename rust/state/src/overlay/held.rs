//! An account as the overlay holds it, in 48 bytes where an optional account takes 80: its code is a number, and what
//! there is of codes stands in a list. A block of transfers is bound by the memory that it walks through.

use alloy_primitives::map::B256HashMap;
use types::{Account, B256, Bytes, EMPTY_CODE_HASH, U256};

/// No account.
const ABSENT: u32 = u32::MAX;

/// No code.
const NO_CODE: u32 = 0;

/// See the module's head. What is absent holds nothing, so that balance and nonce can be read without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) balance: U256,
    pub(super) nonce: u64,
    /// Its place among [`Codes`].
    code: u32,
}

impl Held {
    /// No account.
    pub(super) const NOTHING: Self = Self { balance: U256::ZERO, nonce: 0, code: ABSENT };

    #[inline]
    pub(super) fn exists(&self) -> bool {
        self.code != ABSENT
    }

    #[inline]
    pub(super) fn has_code(&self) -> bool {
        !matches!(self.code, ABSENT | NO_CODE)
    }

    /// No account, or one that EIP-161 calls empty.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && !self.has_code()
    }

    /// The account, which springs up where there was none.
    #[inline]
    pub(super) fn sprung_up(&mut self) -> &mut Self {
        if !self.exists() {
            self.code = NO_CODE;
        }
        self
    }
}

/// A code that accounts name.
#[derive(Clone, Debug)]
struct Code {
    hash: B256,
    /// Once somebody asked.
    bytes: Option<Bytes>,
    /// Set through this overlay: the view may not have it.
    set: bool,
}

/// The codes that accounts of one overlay name. The first is that of no bytes.
#[derive(Debug)]
pub(super) struct Codes {
    list: Vec<Code>,
    by_hash: B256HashMap<u32>,
}

impl Codes {
    pub(super) fn new() -> Self {
        let none = Code { hash: EMPTY_CODE_HASH, bytes: Some(Bytes::new()), set: false };
        Self { list: vec![none], by_hash: B256HashMap::default() }
    }

    pub(super) fn clear(&mut self) {
        self.list.truncate(1);
        self.by_hash.clear();
    }

    fn number(&mut self, hash: B256) -> u32 {
        if hash == EMPTY_CODE_HASH {
            return NO_CODE;
        }
        *self.by_hash.entry(hash).or_insert_with(|| {
            self.list.push(Code { hash, bytes: None, set: false });
            u32::try_from(self.list.len() - 1).expect("fewer than four billion codes")
        })
    }

    /// Takes an account in.
    #[inline]
    pub(super) fn hold(&mut self, account: Option<Account>) -> Held {
        match account {
            Some(Account { nonce, balance, code_hash }) => Held { balance, nonce, code: self.number(code_hash) },
            None => Held::NOTHING,
        }
    }

    /// The account that is held.
    #[inline]
    pub(super) fn account(&self, held: &Held) -> Option<Account> {
        let Held { balance, nonce, .. } = *held;
        held.exists().then(|| Account { nonce, balance, code_hash: self.hash(held) })
    }

    /// The hash of an account's code; that of no bytes where there is no account.
    #[inline]
    pub(super) fn hash(&self, held: &Held) -> B256 {
        if held.has_code() { self.list[held.code as usize].hash } else { EMPTY_CODE_HASH }
    }

    /// An account's code, fetched by its hash if nobody asked before.
    pub(super) fn bytes<E>(&mut self, held: &Held, fetch: impl FnOnce(&B256) -> Result<Bytes, E>) -> Result<Bytes, E> {
        if !held.has_code() {
            return Ok(Bytes::new());
        }
        let code = &mut self.list[held.code as usize];
        if let Some(bytes) = &code.bytes {
            return Ok(bytes.clone());
        }
        let bytes = fetch(&code.hash)?;
        code.bytes = Some(bytes.clone());
        Ok(bytes)
    }

    /// Gives an account code that the view may not have.
    pub(super) fn set(&mut self, held: &mut Held, hash: B256, bytes: Bytes) {
        held.code = self.number(hash);
        let code = &mut self.list[held.code as usize];
        code.set |= hash != EMPTY_CODE_HASH;
        code.bytes = Some(bytes);
    }

    /// Whether any code was set here.
    pub(super) fn any_set(&self) -> bool {
        self.list.iter().any(|code| code.set)
    }

    /// An account's code, if it was set here and `before` had another.
    pub(super) fn news(&self, before: &Held, after: &Held) -> Option<(B256, Bytes)> {
        if !after.has_code() || before.code == after.code {
            return None;
        }
        let code = &self.list[after.code as usize];
        code.set.then(|| (code.hash, code.bytes.clone().expect("it was set")))
    }
}
