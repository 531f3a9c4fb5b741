//! The `config` object of a genesis file: which rules hold when.

use evm::{
    Changes, Fork,
    spec::{
        Activation, BlobParameters, ChainSpec,
        chain::{DEPOSIT_CONTRACT, Own},
    },
};

use super::{GenesisError, json::Node};

type Result<T> = std::result::Result<T, GenesisError>;

/// What begins with a block, in the order in which it has to: a fork, or one of the glaciers, which only set the
/// difficulty bomb back.
const BY_BLOCK: [(&str, Begins); 13] = [
    ("homesteadBlock", Begins::Fork(Fork::Homestead)),
    ("eip150Block", Begins::Fork(Fork::Tangerine)),
    ("eip158Block", Begins::Fork(Fork::SpuriousDragon)),
    ("byzantiumBlock", Begins::Fork(Fork::Byzantium)),
    ("constantinopleBlock", Begins::Fork(Fork::Constantinople)),
    ("petersburgBlock", Begins::Fork(Fork::Petersburg)),
    ("istanbulBlock", Begins::Fork(Fork::Istanbul)),
    ("muirGlacierBlock", Begins::Glacier(0)),
    ("berlinBlock", Begins::Fork(Fork::Berlin)),
    ("londonBlock", Begins::Fork(Fork::London)),
    ("arrowGlacierBlock", Begins::Glacier(1)),
    ("grayGlacierBlock", Begins::Glacier(2)),
    ("mergeNetsplitBlock", Begins::Nothing),
];

enum Begins {
    Fork(Fork),
    Glacier(usize),
    Nothing,
}

/// What begins with a time: the key, the fork, the name in `blobSchedule`, and the parameters where that has none.
type Timed = (&'static str, Option<Fork>, Option<&'static str>, Option<BlobParameters>);

const BY_TIME: [Timed; 9] = [
    ("shanghaiTime", Some(Fork::Shanghai), None, None),
    ("cancunTime", Some(Fork::Cancun), Some("cancun"), Some(BlobParameters::CANCUN)),
    ("pragueTime", Some(Fork::Prague), Some("prague"), Some(BlobParameters::PRAGUE)),
    ("osakaTime", Some(Fork::Osaka), Some("osaka"), Some(BlobParameters::PRAGUE)),
    ("bpo1Time", None, Some("bpo1"), Some(BlobParameters::BPO1)),
    ("bpo2Time", None, Some("bpo2"), Some(BlobParameters::BPO2)),
    ("bpo3Time", None, Some("bpo3"), None),
    ("bpo4Time", None, Some("bpo4"), None),
    ("bpo5Time", None, Some("bpo5"), None),
];

/// Keys of their own shape, read one by one.
const OTHERS: [&str; 7] = [
    "chainId",
    "daoForkBlock",
    "daoForkSupport",
    "eip155Block",
    "terminalTotalDifficulty",
    "depositContractAddress",
    "execlayer",
];

/// Keys of geth's that change nothing here.
const WITHOUT_EFFECT: [&str; 5] =
    ["blobSchedule", "eip150Hash", "terminalTotalDifficultyPassed", "ethash", "enableVerkleAtGenesis"];

/// Keys of geth's that ask for what is not built: refused where they are set.
const NOT_BUILT: [(&str, &str); 3] = [
    ("clique", "absent: proof of authority is not supported"),
    ("amsterdamTime", "absent: forks after Osaka are not supported"),
    ("verkleTime", "absent: Verkle tries are not supported"),
];

/// Reads the object strictly.
pub(super) fn read(config: &Node<'_>) -> Result<ChainSpec> {
    check_keys(config)?;
    let mut spec = ChainSpec {
        chain_id: config.required("chainId")?.u64()?,
        forks: vec![(Fork::Frontier, Activation::Block(0))],
        blobs: Vec::new(),
        dao: None,
        glaciers: [None; 3],
        deposit_contract: DEPOSIT_CONTRACT,
        own: Own::default(),
        changes: Changes::default(),
    };
    read_blocks(config, &mut spec)?;
    if let Some(block) = config.field("daoForkBlock")? {
        let supported = config.field("daoForkSupport")?.map_or(Ok(true), |supported| supported.bool())?;
        spec.dao = Some(block.u64()?).filter(|_| supported);
    }
    if let Some(total) = config.field("terminalTotalDifficulty")? {
        spec.forks.push((Fork::Paris, Activation::TotalDifficulty(total.quantity()?)));
    }
    read_times(config, &mut spec)?;
    if let Some(contract) = config.field("depositContractAddress")? {
        spec.deposit_contract = contract.address()?;
    }
    if let Some(own) = config.field("execlayer")? {
        own.only(&["assets", "gas"])?;
        spec.own.assets = own.field("assets")?.map_or(Ok(false), |assets| assets.bool())?;
        spec.changes = own.field("gas")?.map_or(Ok(Changes::default()), |gas| read_gas(&gas))?;
    }
    Ok(spec)
}

/// The name of a ready schedule, or an object of prices by name.
fn read_gas(gas: &Node<'_>) -> Result<Changes> {
    let read = match gas.value.as_str() {
        Some(name) => Changes::named(name),
        None => {
            let prices = gas.object()?.iter();
            let prices: Result<Vec<_>> =
                prices.map(|(name, value)| Ok((name.clone(), gas.child(name, value).u64()?))).collect();
            Changes::priced(prices?)
        }
    };
    read.map_err(|error| GenesisError::Gas { path: gas.path.clone(), error })
}

fn check_keys(config: &Node<'_>) -> Result<()> {
    let mut known = [&OTHERS[..], &WITHOUT_EFFECT[..]].concat();
    known.extend(BY_BLOCK.iter().map(|(key, ..)| *key));
    known.extend(BY_TIME.iter().map(|(key, ..)| *key));
    known.extend(NOT_BUILT.iter().map(|(key, _)| *key));
    config.only(&known)?;
    for (key, why) in NOT_BUILT {
        if let Some(set) = config.field(key)? {
            return Err(set.wrong(why));
        }
    }
    // Two numbers of one fork: replay protection came with Spurious Dragon.
    let dragon = config.field("eip158Block")?.map(|block| block.u64()).transpose()?;
    match config.field("eip155Block")? {
        Some(block) if Some(block.u64()?) != dragon => Err(block.wrong("the same block as eip158Block")),
        _ => Ok(()),
    }
}

fn read_blocks(config: &Node<'_>, spec: &mut ChainSpec) -> Result<()> {
    let mut earliest = 0;
    let mut fork_missing = false;
    for (key, begins) in BY_BLOCK {
        let Some(block) = config.field(key)? else {
            // Petersburg without Constantinople is a chain that never had its net gas.
            fork_missing |= matches!(begins, Begins::Fork(fork) if fork != Fork::Constantinople);
            continue;
        };
        let number = block.u64()?;
        if number < earliest {
            return Err(block.wrong("a block not before that of the fork before it"));
        }
        earliest = number;
        match begins {
            Begins::Fork(_) if fork_missing => return Err(block.wrong("absent: a fork before it is missing")),
            Begins::Fork(fork) => spec.forks.push((fork, Activation::Block(number))),
            Begins::Glacier(index) => spec.glaciers[index] = Some(number),
            Begins::Nothing => {}
        }
    }
    Ok(())
}

fn read_times(config: &Node<'_>, spec: &mut ChainSpec) -> Result<()> {
    let schedule = config.field("blobSchedule")?;
    if let Some(schedule) = &schedule {
        let mut known: Vec<_> = BY_TIME.iter().filter_map(|(_, _, name, _)| *name).collect();
        // What stands there for forks that are not set has no effect.
        known.extend(["amsterdam", "verkle"]);
        schedule.only(&known)?;
    }
    let mut earliest = 0;
    let mut fork_missing = false;
    for (key, fork, name, default) in BY_TIME {
        let Some(time) = config.field(key)? else {
            fork_missing |= fork.is_some();
            continue;
        };
        let begins = time.u64()?;
        if begins < earliest {
            return Err(time.wrong("a time not before that of the fork before it"));
        }
        if fork_missing {
            return Err(time.wrong("absent: a fork before it is missing"));
        }
        earliest = begins;
        spec.forks.extend(fork.map(|fork| (fork, Activation::Time(begins))));
        let Some(name) = name else { continue };
        let given = schedule.as_ref().map(|schedule| schedule.field(name)).transpose()?.flatten();
        let parameters = match (given, default) {
            (Some(given), _) => read_blobs(&given)?,
            (None, Some(default)) => default,
            (None, None) => return Err(time.wrong("an entry of the same name in config.blobSchedule")),
        };
        spec.blobs.push((begins, parameters));
    }
    Ok(())
}

fn read_blobs(node: &Node<'_>) -> Result<BlobParameters> {
    node.only(&["target", "max", "baseFeeUpdateFraction"])?;
    let fraction = node.required("baseFeeUpdateFraction")?;
    let read = BlobParameters {
        target: node.required("target")?.u64()?,
        max: node.required("max")?.u64()?,
        update_fraction: fraction.u64()?,
    };
    if read.update_fraction == 0 {
        return Err(fraction.wrong("more than zero"));
    }
    // Blob gas is counted in 64 bits.
    if read.target > read.max || read.max > u64::from(u32::MAX) {
        return Err(node.wrong("a target not above max, and max below 2^32"));
    }
    Ok(read)
}
