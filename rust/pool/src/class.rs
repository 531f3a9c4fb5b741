//! What kind of work a transaction is, and how much its class is preferred.

use kernels::{ScoreError, score::CLASSES, score_batch};
use types::{Payload, Transaction, TxKind};

/// The classes. A class is its index in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Creates a contract.
    Deploy = 0,
    /// Moves value: no call data, and a recipient without code; our own transfers of assets.
    Transfer = 1,
    /// Everything else of Ethereum's kinds.
    Call = 2,
    /// Registers or updates a model.
    Model = 3,
    /// Asks a model.
    Inference = 4,
    /// Part of a training job.
    Training = 5,
    /// From a sender that the configuration names.
    System = 6,
}

impl Class {
    /// All of them, by index.
    pub const ALL: [Self; 7] =
        [Self::Deploy, Self::Transfer, Self::Call, Self::Model, Self::Inference, Self::Training, Self::System];

    /// How configuration and metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Transfer => "transfer",
            Self::Call => "call",
            Self::Model => "model",
            Self::Inference => "inference",
            Self::Training => "training",
            Self::System => "system",
        }
    }

    /// The class of a transaction of an ordinary sender. Whether the recipient has code is asked only where it matters.
    pub fn of<E>(transaction: &Transaction, has_code: impl FnOnce() -> Result<bool, E>) -> Result<Self, E> {
        Ok(match (transaction.payload(), transaction.to()) {
            (Some(Payload::RegisterModel(_) | Payload::UpdateModel(_)), _) => Self::Model,
            (Some(Payload::InferenceRequest(_)), _) => Self::Inference,
            (Some(Payload::SubmitGradient(_)), _) => Self::Training,
            (Some(Payload::AssetTransfer(_)), _) => Self::Transfer,
            (None, TxKind::Create) => Self::Deploy,
            (None, TxKind::Call(_)) if transaction.input().is_empty() && !has_code()? => Self::Transfer,
            (None, TxKind::Call(_)) => Self::Call,
        })
    }
}

/// How much each class is preferred; 1 is neutral. An index no class has is never read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Priorities(pub [f64; CLASSES]);

impl Default for Priorities {
    /// What configuration does not say otherwise: fees alone decide, but system senders go first.
    fn default() -> Self {
        let mut priorities = [1.0; CLASSES];
        priorities[Class::System as usize] = 4.0;
        Self(priorities)
    }
}

impl Priorities {
    /// Base scores: each fee times the priority of its class.
    ///
    /// # Errors
    /// Where the columns differ in length, or a class is unknown.
    pub fn score_batch(&self, fees: &[f64], classes: &[u8]) -> Result<Vec<f64>, ScoreError> {
        let mut scores = vec![0.0; fees.len()];
        score_batch(fees, classes, &self.0, &mut scores)?;
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use types::{Address, B256, Bytes, Key, U256, tx::TxLegacy};

    use super::*;

    #[test]
    fn classes_follow_recipient_data_and_code() {
        let key = Key::from_bytes(&B256::repeat_byte(1)).unwrap();
        let to = TxKind::Call(Address::repeat_byte(2));
        let data = Bytes::from_static(&[1]);
        let cases = [
            (TxKind::Create, Bytes::new(), false, Class::Deploy),
            (to, Bytes::new(), false, Class::Transfer),
            (to, Bytes::new(), true, Class::Call),
            (to, data, false, Class::Call),
        ];
        for (to, input, code, expected) in cases {
            let unsigned = TxLegacy { to, input, value: U256::ONE, ..TxLegacy::default() };
            let class = Class::of(&Transaction::sign(unsigned, &key), || Ok::<_, Infallible>(code));
            assert_eq!(class, Ok(expected));
        }
    }

    #[test]
    fn a_class_is_its_index() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
