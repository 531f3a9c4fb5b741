//! The networks of the public tests by name: one fork, or a change of forks, as `AToBAtN`.

use std::{fmt, str::FromStr};

use evm::{Activation, BlobParameters, ChainSpec, Fork};
use exec::suite::words::Quantity;

/// A fork from the first block on, perhaps with another that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    from: String,
    then: Option<(String, Activation)>,
}

/// No network has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}; known are forks, Frontier to Osaka, and changes like BerlinToLondonAt5")]
pub struct UnknownNetwork(pub String);

/// The execution rules of a name; some names change only blobs, or only difficulty.
fn fork(name: &str) -> Option<Fork> {
    match name {
        "ArrowGlacier" | "GrayGlacier" => Some(Fork::London),
        "MuirGlacier" => Some(Fork::Istanbul),
        "BPO1" | "BPO2" | "BPO3" | "BPO4" | "BPO5" => Some(Fork::Osaka),
        _ => name.parse().ok(),
    }
}

/// `Time15k`, `DiffC0000` or a block's number.
fn activation(at: &str) -> Option<Activation> {
    if let Some(time) = at.strip_prefix("Time") {
        return time.replace('k', "000").parse().ok().map(Activation::Time);
    }
    if let Some(total) = at.strip_prefix("Diff") {
        return format!("0x{}", total.trim_start_matches("0x"))
            .parse()
            .ok()
            .map(|Quantity(total)| Activation::TotalDifficulty(total));
    }
    at.parse().ok().map(Activation::Block)
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(name: &str) -> Result<Self, UnknownNetwork> {
        let read = || {
            if fork(name).is_some() {
                return Some(Self { from: name.to_owned(), then: None });
            }
            let (from, rest) = name.split_once("To")?;
            let (to, at) = rest.split_once("At")?;
            let at = activation(at)?;
            let after = to == "Dao" && matches!(at, Activation::Block(_)) || fork(from)? <= fork(to)?;
            after.then(|| Self { from: from.to_owned(), then: Some((to.to_owned(), at)) })
        };
        read().ok_or_else(|| UnknownNetwork(name.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.then {
            None => f.write_str(&self.from),
            Some((to, at)) => write!(f, "{} to {to} at {at:?}", self.from),
        }
    }
}

impl Network {
    /// The schedule; `blobs` gives the parameters of a name where they are not Ethereum's.
    pub fn spec(&self, chain_id: u64, blobs: impl Fn(&str) -> Option<BlobParameters>) -> ChainSpec {
        let known = |name: &str| fork(name).expect("a network's forks are known");
        let from = known(&self.from);
        let mut spec = ChainSpec::at(chain_id, from);
        spec.glaciers = match self.from.as_str() {
            // Berlin and London came after that ice age was put off.
            "MuirGlacier" | "Berlin" | "London" => [Some(0), None, None],
            "ArrowGlacier" => [Some(0), Some(0), None],
            "GrayGlacier" => [Some(0); 3],
            _ => [None; 3],
        };
        let of = |name: &str| {
            blobs(name).or(match name {
                "BPO1" => Some(BlobParameters::BPO1),
                "BPO2" => Some(BlobParameters::BPO2),
                _ => None,
            })
        };
        if let Some(blobs) = of(&self.from) {
            spec.blobs = vec![(0, blobs)];
        }
        let Some((to, activation)) = &self.then else { return spec };
        if to == "Dao" {
            if let Activation::Block(block) = activation {
                spec.dao = Some(*block);
            }
            return spec;
        }
        let passed = Fork::ALL.into_iter().filter(|fork| from < *fork && *fork <= known(to));
        spec.forks.extend(passed.map(|fork| (fork, *activation)));
        if let (Activation::Time(time), Some(blobs)) = (activation, of(to)) {
            spec.blobs.push((*time, blobs));
        }
        spec
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::U256;

    use super::*;

    fn spec(name: &str) -> ChainSpec {
        name.parse::<Network>().unwrap().spec(1, |_| None)
    }

    #[test]
    fn a_change_of_forks_comes_at_its_block_time_or_difficulty() {
        let by_block = spec("BerlinToLondonAt5");
        assert_eq!((by_block.rules(4, 0).fork, by_block.rules(5, 0).fork), (Fork::Berlin, Fork::London));
        let by_time = spec("ParisToShanghaiAtTime15k");
        assert_eq!((by_time.rules(9, 14_999).fork, by_time.rules(9, 15_000).fork), (Fork::Paris, Fork::Shanghai));
        let merge = spec("ArrowGlacierToParisAtDiffC0000");
        let at = |total: u64| merge.rules_merged(9, 9, Some(U256::from(total))).fork;
        assert_eq!((at(0xbffff), at(0xc0000)), (Fork::London, Fork::Paris));
        assert_eq!(merge.glaciers, [Some(0), Some(0), None]);
        assert_eq!(spec("HomesteadToDaoAt5").dao, Some(5));
    }

    #[test]
    fn blobs_alone_can_change() {
        let steps = spec("BPO1ToBPO2AtTime15k");
        assert_eq!(
            (steps.rules(9, 14_999).blobs, steps.rules(9, 15_000).blobs),
            (BlobParameters::BPO1, BlobParameters::BPO2)
        );
        let given = BlobParameters { target: 1, max: 2, update_fraction: 3 };
        let given =
            "OsakaToBPO1AtTime15k".parse::<Network>().unwrap().spec(1, |name| (name == "BPO1").then_some(given));
        assert_eq!((given.rules(9, 0).blobs.max, given.rules(9, 15_000).blobs.max), (9, 2));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for name in ["", "Olympic", "LondonToBerlinAt5", "BerlinToLondon", "BerlinToLondonAt", "BerlinToLondonAtTimeX"]
        {
            assert_eq!(name.parse::<Network>(), Err(UnknownNetwork(name.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "(Berlin|London|To|At|Time|Diff|Dao|[0-9k]{1,30}|.){0,6}") {
            if let Ok(network) = name.parse::<Network>() {
                prop_assert_eq!(network.spec(7, |_| None).chain_id, 7);
            }
        }
    }
}
