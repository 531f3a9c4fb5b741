//! Ommers: blocks of proof of work that came second and are rewarded all the same.

use std::collections::HashSet;

use types::{B256, Block, Header};

use crate::{
    Chain, ChainError, ImportError,
    header::{Field, Mismatch},
};

/// Most of one block.
const OMMERS_MAX: usize = 2;

/// How many generations back their parent may be.
const GENERATIONS: usize = 7;

/// The last ancestors, and the names of them and of all ommers that they included.
type Family = (Vec<(B256, Header)>, HashSet<B256>);

impl Chain {
    /// Checks a block's ommers: few, valid headers, relatives but not ancestors, and nobody twice.
    pub(crate) fn validate_ommers(&self, block: &Block) -> Result<(), ImportError> {
        let ommers = &block.body.ommers;
        if ommers.is_empty() {
            return Ok(());
        }
        let hash = block.header.hash_slow();
        let id = types::BlockId { number: block.header.number, hash };
        let wrong = |expected: &str, actual: String| ImportError::Mismatch {
            block: id,
            mismatch: Mismatch { field: Field::Ommers, expected: expected.to_owned(), actual },
        };
        if ommers.len() > OMMERS_MAX {
            return Err(wrong("at most 2", ommers.len().to_string()));
        }
        let (ancestors, mut seen) = self.family(block.header.parent_hash)?;
        seen.insert(hash);
        for ommer in ommers {
            let name = ommer.hash_slow();
            if !seen.insert(name) {
                return Err(wrong("included once", name.to_string()));
            }
            if ancestors.iter().any(|(ancestor, _)| *ancestor == name) {
                return Err(wrong("no ancestor", name.to_string()));
            }
            // The first ancestor is the block's own parent: its children are siblings, not ommers.
            let parent = ancestors.iter().skip(1).find(|(ancestor, _)| *ancestor == ommer.parent_hash);
            let Some((_, parent)) = parent else {
                return Err(wrong("a child of one of the 2nd to 7th ancestors", name.to_string()));
            };
            let rules = self.spec().rules(ommer.number, ommer.timestamp);
            self.validate_header(id, ommer, parent, &rules)?;
        }
        Ok(())
    }

    /// The ancestors that count, the parent first, and the ommers that they included.
    fn family(&self, parent: B256) -> Result<Family, ChainError> {
        let (mut ancestors, mut included) = (Vec::new(), HashSet::new());
        let mut hash = parent;
        while ancestors.len() < GENERATIONS {
            let Some(block) = self.ledger().block(&hash)? else { break };
            included.extend(block.body.ommers.iter().map(Header::hash_slow));
            let header = block.header.clone();
            let (child, number) = (hash, header.number);
            hash = header.parent_hash;
            ancestors.push((child, header));
            if number == 0 {
                break;
            }
        }
        Ok((ancestors, included))
    }
}
