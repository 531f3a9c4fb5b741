//! EIP-1559 transactions in RLP, written into one buffer.

use types::{
    Address, B256, Signature, U256, keccak256,
    rlp::{Encodable, Header},
};

use crate::sign::normalised;

/// EIP-2718 type of an EIP-1559 transaction.
const KIND: u8 = 2;

/// A call before it is signed; no access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned<'a> {
    /// The chain it is for.
    pub chain_id: u64,
    /// The slot, with the sender.
    pub nonce: u64,
    /// Highest tip for a unit of gas.
    pub tip: u64,
    /// Highest fee for a unit of gas.
    pub max_fee: u64,
    /// Most gas.
    pub gas_limit: u64,
    /// Whom it calls.
    pub to: Address,
    /// Call data.
    pub input: &'a [u8],
}

impl Unsigned<'_> {
    fn fields(&self) -> [&dyn Encodable; 9] {
        // Value is zero and the access list empty: 0x80 and 0xc0.
        [
            &self.chain_id,
            &self.nonce,
            &self.tip,
            &self.max_fee,
            &self.gas_limit,
            &self.to,
            &0u8,
            &self.input,
            &EmptyList,
        ]
    }

    /// Its EIP-2718 bytes without a signature.
    pub fn payload(&self) -> Vec<u8> {
        written(&self.fields())
    }

    /// What a signer is asked to sign.
    pub fn signing_hash(&self) -> B256 {
        keccak256(self.payload())
    }

    /// Its EIP-2718 bytes with a signature, whose `s` is brought low whoever signed, and their Keccak-256.
    pub fn seal(&self, signature: &Signature) -> (Vec<u8>, B256) {
        let signature = normalised(signature);
        let (r, s): (U256, U256) = (signature.r(), signature.s());
        let [a, b, c, d, e, f, g, h, i] = self.fields();
        let raw = written(&[a, b, c, d, e, f, g, h, i, &signature.v(), &r, &s]);
        let hash = keccak256(&raw);
        (raw, hash)
    }
}

fn written(fields: &[&dyn Encodable]) -> Vec<u8> {
    let payload = fields.iter().map(|field| field.length()).sum();
    let mut out = Vec::with_capacity(payload + 8);
    out.push(KIND);
    Header { list: true, payload_length: payload }.encode(&mut out);
    fields.iter().for_each(|field| field.encode(&mut out));
    out
}

struct EmptyList;

impl Encodable for EmptyList {
    fn encode(&self, out: &mut dyn types::rlp::BufMut) {
        out.put_u8(0xc0);
    }

    fn length(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{Bytes, Key, Transaction, TxKind, tx::TxEip1559};

    use super::*;
    use crate::sign::{MemorySigner, Signer};

    proptest! {
        #[test]
        fn bytes_and_hash_are_those_of_the_plain_transaction(
            (chain_id, nonce, tip, max_fee, gas_limit) in any::<(u64, u64, u64, u64, u64)>(),
            to in any::<[u8; 20]>(),
            input in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let secret = B256::repeat_byte(7);
            let mut signer = MemorySigner::new();
            let sender = signer.add(&secret).unwrap();
            let unsigned = Unsigned { chain_id, nonce, tip, max_fee, gas_limit, to: Address::new(to), input: &input };
            let signing_hash = unsigned.signing_hash();
            let (raw, hash) = unsigned.seal(&signer.sign(sender, &signing_hash).unwrap());
            let plain = Transaction::sign(
                TxEip1559 {
                    chain_id, nonce, gas_limit,
                    max_fee_per_gas: max_fee.into(),
                    max_priority_fee_per_gas: tip.into(),
                    to: TxKind::Call(Address::new(to)),
                    value: U256::ZERO,
                    access_list: Default::default(),
                    input: Bytes::from(input.clone()),
                },
                &Key::from_bytes(&secret).unwrap(),
            );
            prop_assert_eq!(&raw[..], &plain.to_bytes()[..]);
            prop_assert_eq!(hash, plain.hash());
            prop_assert_eq!(signing_hash, plain.signature_hash());
            prop_assert_eq!(plain.recover(), Ok(sender));
        }
    }
}
