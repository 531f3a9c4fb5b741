//! What can be chosen about a store on disk.

use std::{fmt, str::FromStr};

use state::LedgerError;

const MIB: usize = 1 << 20;

/// Map sizes are rounded up to this: a multiple of every page size there is.
const ALIGNMENT_BYTES: usize = 64 << 10;

/// Addresses have 47 bits in a process; an eighth of that is more than any chain takes.
pub(crate) const MAP_BYTES_MAX: usize = 1 << 44;

/// When a write is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before the commit returns. Nothing that was acknowledged is lost, whatever happens.
    #[default]
    Full,
    /// Several commits are gathered and written in one synced transaction once `write_batch_bytes` have come together,
    /// at `sync` and at the end. A crash loses those not written yet, never the file, and never half a commit.
    Batched,
    /// When the system likes. A process that dies loses nothing; a power cut may lose the file, so a mark is left
    /// until the store is closed and the next open checks everything when it finds one.
    None,
}

impl FromStr for Durability {
    type Err = LedgerError;

    fn from_str(name: &str) -> Result<Self, LedgerError> {
        match name {
            "full" => Ok(Self::Full),
            "batched" => Ok(Self::Batched),
            "none" => Ok(Self::None),
            _ => Err(LedgerError::Setting {
                name: "durability",
                value: format!("{name:?}"),
                expected: "it is full, batched or none",
            }),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Batched => "batched",
            Self::None => "none",
        })
    }
}

/// How to open a store. The default suits a chain of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of addresses reserved at first; the file takes only what is written. Rounded up to 64 KiB.
    pub map_size: usize,
    /// Bytes added each time the map is full; twice as many where that was not enough. Rounded up to 64 KiB.
    pub growth: usize,
    /// Memory for what was read or written last; 0 turns the cache off.
    pub read_cache_bytes: usize,
    /// How much [`Durability::Batched`] gathers before it writes.
    pub write_batch_bytes: usize,
    /// When a write is on the disk.
    pub durability: Durability,
    /// Opens beside another process's writer; every commit is refused.
    pub read_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            map_size: 4096 * MIB,
            growth: 4096 * MIB,
            read_cache_bytes: 256 * MIB,
            write_batch_bytes: 64 * MIB,
            durability: Durability::Full,
            read_only: false,
        }
    }
}

impl Options {
    /// Refuses what makes no sense, by name and value; rounds what must be round.
    pub(crate) fn checked(mut self) -> Result<Self, LedgerError> {
        let refuse = |name, value: usize, expected| {
            Err(LedgerError::Setting { name, value: format!("{value} bytes"), expected })
        };
        if !(MIB..=MAP_BYTES_MAX).contains(&self.map_size) {
            return refuse("map_size", self.map_size, "it is between 1 MiB and 16 TiB");
        }
        if !(MIB..=MAP_BYTES_MAX).contains(&self.growth) {
            return refuse("growth", self.growth, "it is between 1 MiB and 16 TiB");
        }
        if self.read_cache_bytes > MAP_BYTES_MAX {
            return refuse("read_cache_bytes", self.read_cache_bytes, "it is at most 16 TiB");
        }
        if !(1..=MAP_BYTES_MAX).contains(&self.write_batch_bytes) {
            return refuse("write_batch_bytes", self.write_batch_bytes, "it is between 1 byte and 16 TiB");
        }
        self.map_size = self.map_size.next_multiple_of(ALIGNMENT_BYTES);
        self.growth = self.growth.next_multiple_of(ALIGNMENT_BYTES);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused_by_name_and_value() {
        let wrong = [
            (Options { map_size: MIB - 1, ..Options::default() }, "map_size cannot be 1048575 bytes"),
            (Options { growth: 0, ..Options::default() }, "growth cannot be 0 bytes"),
            (Options { growth: MAP_BYTES_MAX + 1, ..Options::default() }, "growth cannot be 17592186044417 bytes"),
            (Options { read_cache_bytes: usize::MAX, ..Options::default() }, "read_cache_bytes cannot be"),
            (Options { write_batch_bytes: 0, ..Options::default() }, "write_batch_bytes cannot be 0 bytes"),
        ];
        for (options, words) in wrong {
            let error = options.checked().unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        let rounded = Options { map_size: MIB, growth: MIB + 1, ..Options::default() }.checked().unwrap();
        assert_eq!((rounded.map_size, rounded.growth), (MIB, MIB + ALIGNMENT_BYTES));
    }

    #[test]
    fn durability_is_read_by_name() {
        for durability in [Durability::Full, Durability::Batched, Durability::None] {
            assert_eq!(durability.to_string().parse(), Ok(durability));
        }
        let error = "sometimes".parse::<Durability>().unwrap_err();
        assert_eq!(error.to_string(), "durability cannot be \"sometimes\": it is full, batched or none");
    }
}
