//! Column families: one ordered map of bytes each. What stands in them, byte by byte, is in `docs/storage.md`; a change
//! there raises [`SCHEMA`] and adds a step to `migrate`.

/// The version of everything on disk.
pub const SCHEMA: u32 = 2;

/// An ordered map of its own inside a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Block hash → total difficulty, tally and header.
    Headers,
    /// Block hash → senders and body.
    Bodies,
    /// Block hash → receipts.
    Receipts,
    /// Block number → hash of the canonical block.
    Canonical,
    /// Transaction hash → canonical block and index.
    Transactions,
    /// Address or topic, and block number → places of the logs in that block.
    Logs,
    /// Address → account.
    Accounts,
    /// Address and slot → value.
    Storage,
    /// Code hash → code.
    Code,
    /// Owner and path → node of the state trie or of a storage trie.
    Nodes,
    /// Block hash → how to get back to its parent's state.
    Reverse,
    /// Block hash → lattice hash of the state after it, all lanes of it.
    Lattices,
    /// Block number and place → a block became canonical, or no longer is.
    Notifications,
    /// Large values by hash, in pieces.
    Artifacts,
    /// Small named values: schema version, head, and what the chain wants to remember.
    Metadata,
}

impl Family {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 15] = [
        Self::Headers,
        Self::Bodies,
        Self::Receipts,
        Self::Canonical,
        Self::Transactions,
        Self::Logs,
        Self::Accounts,
        Self::Storage,
        Self::Code,
        Self::Nodes,
        Self::Reverse,
        Self::Lattices,
        Self::Notifications,
        Self::Artifacts,
        Self::Metadata,
    ];

    /// The name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Receipts => "receipts",
            Self::Canonical => "canonical",
            Self::Transactions => "transactions",
            Self::Logs => "logs",
            Self::Accounts => "accounts",
            Self::Storage => "storage",
            Self::Code => "code",
            Self::Nodes => "nodes",
            Self::Reverse => "reverse",
            Self::Lattices => "lattices",
            Self::Notifications => "notifications",
            Self::Artifacts => "artifacts",
            Self::Metadata => "metadata",
        }
    }
}

// An array of per-family things is indexed by the discriminant.
const _: () = {
    let mut index = 0;
    while index < Family::ALL.len() {
        assert!(Family::ALL[index] as usize == index);
        index += 1;
    }
};
