//! Who signed what. The one place where the chain recovers senders: pieces go to all cores, and one that is not worth
//! waking another core stays where it is.

use kernels::recover::{self, PIECE, SignedHash, recover_addresses};
use rayon::prelude::*;
use state::{Stop, Stopped};
use types::{Address, RecoverError, Transaction};

/// An address, or why there is none.
pub type Signer = Result<Address, RecoverError>;

/// Who signed each of these hashes, in order.
///
/// # Errors
/// [`Stopped`], where the work was asked to stop.
pub fn signers(signed: &[SignedHash]) -> Result<Vec<Signer>, Stopped> {
    in_pieces(signed, recover_piece)
}

/// Who sent each transaction.
pub(crate) fn senders_of(transactions: &[&Transaction]) -> Result<Vec<Signer>, Stopped> {
    let signed_hash = |transaction: &&Transaction| {
        let signature = transaction.signature();
        SignedHash {
            hash: transaction.signature_hash().0,
            r: signature.r().to_be_bytes(),
            s: signature.s().to_be_bytes(),
            recovery_id: u8::from(signature.v()),
        }
    };
    in_pieces(transactions, |piece| recover_piece(&piece.iter().map(signed_hash).collect::<Vec<_>>()))
}

fn in_pieces<T: Sync>(items: &[T], work: impl Fn(&[T]) -> Vec<Signer> + Sync) -> Result<Vec<Signer>, Stopped> {
    if items.len() <= PIECE {
        return Ok(work(items));
    }
    let stop = Stop::current();
    let pieces = items.par_chunks(PIECE).map(|piece| stop.check().map(|()| work(piece)));
    let pieces: Vec<_> = pieces.collect::<Result<_, _>>()?;
    Ok(pieces.concat())
}

fn recover_piece(signed: &[SignedHash]) -> Vec<Signer> {
    let reason = |error| match error {
        recover::RecoverError::OutOfRange => RecoverError::OutOfRange,
        recover::RecoverError::NoKey => RecoverError::NoKey,
        recover::RecoverError::InvalidRecoveryId { got } => RecoverError::RecoveryId { got },
    };
    recover_addresses(signed).into_iter().map(|signer| signer.map_err(reason)).collect()
}

#[cfg(test)]
mod tests {
    use types::{
        B256, Key, Signature, U256,
        tx::{TxEip1559, TxLegacy},
    };

    use super::*;

    #[test]
    fn senders_of_a_batch_are_those_of_one_transaction_after_the_other() {
        let key = |i: u8| Key::from_bytes(&B256::repeat_byte(i % 7 + 1)).unwrap();
        let mut transactions: Vec<_> = (0..200u8)
            .map(|i| match i % 3 {
                0 => Transaction::sign(TxLegacy { nonce: i.into(), ..Default::default() }, &key(i)),
                1 => Transaction::sign(TxEip1559 { nonce: i.into(), ..Default::default() }, &key(i)),
                // No point has x = 5, and nobody can sign with r = 0.
                _ => {
                    let r = U256::from(if i % 2 == 0 { 5 } else { 0 });
                    Transaction::from_parts(TxLegacy::default(), Signature::new(r, U256::ONE, false))
                }
            })
            .collect();
        for length in [200, PIECE + 1, PIECE, 3, 1, 0] {
            transactions.truncate(length);
            let all: Vec<_> = transactions.iter().collect();
            assert_eq!(
                senders_of(&all).unwrap(),
                all.iter().map(|transaction| transaction.recover()).collect::<Vec<_>>()
            );
        }
    }
}
