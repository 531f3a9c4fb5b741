use proptest::prelude::*;

use super::*;

#[test]
fn quantities_are_as_strict_as_geths() {
    assert_eq!(u64::read(r#""0x0""#), Ok(0));
    assert_eq!(u64::read(r#""0xff""#), Ok(255));
    for (json, complaint) in [
        (r#""0x""#, "without digits"),
        (r#""0x01""#, "leading zero"),
        (r#""ff""#, "without 0x prefix"),
        (r#""0xg""#, "invalid hex"),
        ("255", "must be a hex string"),
        (r#""0x10000000000000000""#, "above 64 bits"),
    ] {
        let error = u64::read(json).unwrap_err();
        assert!(error.contains(complaint) && error.contains(json.trim_matches('"')), "{json}: {error}");
    }
}

#[test]
fn addresses_and_bytes_have_their_lengths() {
    assert!(Address::read(&format!("\"0x{}\"", "ab".repeat(20))).is_ok());
    assert!(Address::read(&format!("\"0x{}\"", "ab".repeat(19))).unwrap_err().contains("40 hex digits"));
    assert_eq!(Bytes::read(r#""0x0102""#).unwrap().as_ref(), [1, 2]);
    assert!(Bytes::read(r#""0x123""#).unwrap_err().contains("odd length"));
}

#[test]
fn blocks_are_named_by_tag_number_hash_or_object() {
    let hash = B256::repeat_byte(7);
    let at = |json: &str| At::read(json).unwrap();
    assert_eq!(at(r#""latest""#).block, BlockRef::Latest);
    assert_eq!(at(r#""0x10""#).block, BlockRef::Number(16));
    assert_eq!(at(&format!("\"{hash}\"")).block, BlockRef::Hash(hash));
    let object = at(&format!(r#"{{"blockHash": "{hash}", "requireCanonical": true}}"#));
    assert_eq!(object, At { block: BlockRef::Hash(hash), require_canonical: true });
    assert!(At::read(&format!(r#"{{"blockHash": "{hash}", "blockNumber": "0x1"}}"#)).is_err());
    assert!(At::read("{}").is_err());
    assert!(At::read(r#""newest""#).is_err());
}

#[test]
fn positions_are_counted_and_named() {
    let read = |params: &str| <(u64, Option<u64>)>::read(Some(params));
    assert_eq!(read(r#"["0x1"]"#).unwrap(), (1, None));
    assert_eq!(read(r#"["0x1", null]"#).unwrap(), (1, None));
    assert_eq!(read("[]").unwrap_err().message, "missing value for required argument 0");
    assert_eq!(read(r#"["0x1","0x2","0x3"]"#).unwrap_err().message, "too many arguments, want at most 2");
    assert!(read(r#"["0x1", 5]"#).unwrap_err().message.starts_with("invalid argument 1: "));
    assert_eq!(read("{}").unwrap_err().message, "non-array args");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        for json in [text.clone(), format!("\"{text}\""), format!("{{\"to\": \"{text}\"}}")] {
            let read = At::read(&json).is_ok() || u64::read(&json).is_ok() || AccessList::read(&json).is_ok();
            let again = At::read(&json).is_ok() || u64::read(&json).is_ok() || AccessList::read(&json).is_ok();
            prop_assert_eq!(read, again);
        }
    }

    #[test]
    fn quantities_read_what_was_written(value: u64) {
        prop_assert_eq!(u64::read(&format!("\"{value:#x}\"")), Ok(value));
    }
}
