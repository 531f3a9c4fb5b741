use proptest::prelude::*;

use crate::{block_of, fixtures};

use super::*;

const SMALL: &str = r#"{"config": {"chainId": 5}, "difficulty": "0x1", "gasLimit": "0x1c9c380", "alloc": {}}"#;

fn broken(from: &str, to: &str) -> String {
    let text = SMALL.replace(from, to);
    assert_ne!(text, SMALL, "nothing was broken");
    Genesis::from_json(&text).unwrap_err().to_string()
}

#[test]
fn each_bad_field_is_named_with_its_value() {
    for (from, to, path, value) in [
        ("\"0x1\"", "\"0xzz\"", "difficulty", "\"0xzz\""),
        ("\"chainId\": 5", "\"chainId\": -5", "config.chainId", "-5"),
        ("\"0x1c9c380\"", "[]", "gasLimit", "[]"),
        ("\"alloc\": {}", "\"alloc\": {\"0x12\": {\"balance\": \"1\"}}", "alloc", "0x12"),
        ("\"alloc\": {}", "\"alloc\": 7", "alloc", "7"),
    ] {
        let error = broken(from, to);
        assert!(error.contains(path) && error.contains(value), "{error}");
    }
    assert!(broken("\"alloc\": {}", "\"aloc\": {}").contains("aloc"));
    assert!(broken("{\"config\"", "\"config\"").contains("not JSON"));
}

#[test]
fn an_account_field_is_named_by_its_whole_path() {
    let address = "0x00000000000000000000000000000000000000aa";
    let alloc = format!(r#""alloc": {{"{address}": {{"balance": "many"}}}}"#);
    let error = broken("\"alloc\": {}", &alloc);
    assert!(error.contains(&format!("alloc.{address}.balance")) && error.contains("many"), "{error}");
}

#[test]
fn prices_can_be_changed_by_name_and_by_schedule() {
    let with = |gas: &str| {
        Genesis::from_json(&SMALL.replace("\"chainId\": 5", &format!(r#""chainId": 5, "execlayer": {{"gas": {gas}}}"#)))
    };
    let genesis = with(r#"{"data_zero": 5, "exp": "0x14"}"#).unwrap();
    assert_eq!(genesis.spec().changes.prices(), [("data_zero".to_owned(), 5), ("exp".to_owned(), 20)]);
    assert_eq!(genesis.spec().rules(0, 0).instructions.schedule().data_zero, 5);
    assert_eq!(with(r#""citrate""#).unwrap().spec().changes, evm::Changes::named("citrate").unwrap());
    for (gas, wanted) in
        [(r#"{"sloth": 5}"#, "sloth"), (r#""lemon""#, "lemon"), (r#"{"add": -1}"#, "config.execlayer.gas.add")]
    {
        let error = with(gas).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn the_development_chain_is_the_same_in_every_run() {
    let genesis = Genesis::dev([]);
    assert_eq!(genesis, Genesis::dev([]));
    assert_eq!(genesis.spec().chain_id, DEV_CHAIN_ID);
    let known = [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    ];
    for (index, address) in known.into_iter().enumerate() {
        assert_eq!(dev_key(index).address().to_string(), address);
    }
}

proptest! {
    /// Any text is a genesis or an error; a genesis text with any one byte changed too.
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", place: prop::sample::Index, byte in 32u8..127) {
        prop_assert!(Genesis::from_json(&text).is_err());
        let mut changed = SMALL.as_bytes().to_vec();
        let place = place.index(changed.len());
        changed[place] = byte;
        if let Ok(genesis) = Genesis::from_json(std::str::from_utf8(&changed).unwrap()) {
            prop_assert!(!genesis.id().hash.is_zero());
        }
    }
}

#[test]
fn assets_come_with_their_account_and_nobody_else_may_have_it() {
    let text = |alloc: &str| {
        format!(
            r#"{{"config": {{"chainId": 5, "execlayer": {{"assets": true}}}}, "difficulty": "0x1", "alloc": {{{alloc}}}}}"#
        )
    };
    let genesis = Genesis::from_json(&text("")).unwrap();
    assert!(genesis.spec().own.assets);
    let account = &genesis.alloc()[&types::system::ASSETS];
    assert_eq!((account.nonce, &account.code[..]), (1, &types::system::CODE[..]));
    let address = types::system::ASSETS;
    let given = Genesis::from_json(&text(&format!(r#""{address}": {{"balance": "0x5"}}"#))).unwrap();
    assert_eq!((given.alloc()[&address].nonce, given.alloc()[&address].balance), (1, U256::from(5)));
    let taken = Genesis::from_json(&text(&format!(r#""{address}": {{"balance": "0x0", "nonce": "0x2"}}"#)));
    assert!(matches!(taken, Err(GenesisError::Field { path, .. }) if path.starts_with("alloc")));
    let plain = Genesis::from_json(r#"{"config": {"chainId": 5}, "difficulty": "0x1", "alloc": {}}"#).unwrap();
    assert!(plain.alloc().is_empty());
}

#[test]
fn first_blocks_are_those_of_the_public_vectors() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let frontier = || ChainSpec::at(1, Fork::Frontier);
    let text = fixtures.file("primitives", "GenesisTests/basic_genesis_tests.json");
    let cases: BTreeMap<String, Value> = serde_json::from_slice(&text).unwrap();
    assert!(cases.len() >= 3);
    for (name, mut case) in cases {
        let expected: Bytes = case["result"].as_str().unwrap().parse().unwrap();
        let fields = case.as_object_mut().unwrap();
        fields.remove("result");
        // No digits were a zero in those days.
        fields.entry("timestamp").and_modify(|time| *time = if *time == "0x" { "0x0".into() } else { time.take() });
        for account in case["alloc"].as_object_mut().unwrap().values_mut() {
            let account = account.as_object_mut().unwrap();
            // Balances had two names in those days, and could be left out.
            let balance = account.remove("wei").or(account.remove("balance")).unwrap_or("0".into());
            account.insert("balance".to_owned(), balance);
        }
        let genesis = Genesis::from_json_under(&case.to_string(), Some(frontier())).unwrap();
        assert_eq!(Bytes::from(alloy_rlp::encode(genesis.block())), expected, "{name}");
    }

    let text = fixtures.file("primitives", "BasicTests/genesishashestest.json");
    let mainnet: Value = serde_json::from_slice(&text).unwrap();
    let word = |key: &str| mainnet[key].as_str().unwrap();
    let block: Block = alloy_rlp::decode_exact(word("genesis_rlp_hex").parse::<Bytes>().unwrap()).unwrap();
    assert_eq!(block.header.hash_slow(), word("genesis_hash").parse::<B256>().unwrap());
    assert_eq!(block.header.state_root, word("genesis_state_root").parse::<B256>().unwrap());
    assert_eq!(block_of(&alloy_rlp::encode(&block)), Ok(block));
}
