//! The public exchanges of the RPC specification: each request against the public chain, each answer as it should be.

use std::{collections::BTreeMap, env, fs::File, io::Read, path::Path, sync::Arc};

use chain::{Chain, Genesis, Options, store::Store};
use execlayer_rpc::{Limits, Server};
use serde_json::Value;

/// Whose exchanges are run, and how many there are at least.
const METHODS: [(&str, usize); 8] = [
    ("debug_getRawBlock", 2),
    ("debug_getRawHeader", 2),
    ("debug_getRawReceipts", 2),
    ("debug_getRawTransaction", 1),
    ("eth_call", 3),
    ("eth_createAccessList", 2),
    ("eth_estimateGas", 3),
    ("eth_getProof", 2),
];

/// Every file of the archive by its path; None, with a word about it, where the fixtures are not there.
fn fixture() -> Option<BTreeMap<String, Vec<u8>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/rpc-conformance.tar.xz");
    if !path.is_file() {
        assert!(!env::var("CI").is_ok_and(|value| value == "true"), "the fixtures are missing: {}", path.display());
        eprintln!("skipped: no {}", path.display());
        return None;
    }
    let file = File::open(&path).expect("a readable archive");
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a readable archive") {
        let mut entry = entry.expect("a readable archive");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("a readable archive");
        files.insert(name.trim_start_matches("rpc-conformance/").to_owned(), bytes);
    }
    Some(files)
}

fn server(files: &BTreeMap<String, Vec<u8>>) -> Server {
    let genesis = Genesis::from_json(std::str::from_utf8(&files["genesis.json"]).expect("text")).expect("a genesis");
    let chain = Chain::open(Arc::new(Store::memory()), genesis, Options::default()).expect("a chain");
    chain.import_stream(&mut &*files["chain.rlp"], &mut |_| true).expect("blocks");
    Server::new(chain, Limits::default())
}

/// The answer with every value replaced by what kind of value it is: what counts where only the form does.
fn form(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), form(value))).collect(),
        Value::Array(items) => items.first().map(form).into_iter().collect(),
        Value::String(text) if text.starts_with("0x") => "hex".into(),
        Value::String(_) => "text".into(),
        other => other.clone(),
    }
}

#[test]
fn answers_are_those_of_the_specification() {
    let Some(files) = fixture() else { return };
    let server = server(&files);
    let mut wrong = Vec::new();
    for (method, least) in METHODS {
        let cases = files.iter().filter(|(name, _)| name.split('/').next() == Some(method) && name.ends_with(".io"));
        let mut count = 0;
        for (name, text) in cases {
            count += 1;
            let text = std::str::from_utf8(text).expect("text");
            let form_only = text.lines().any(|line| line.starts_with("// speconly:"));
            let mut answer = Value::Null;
            for line in text.lines() {
                if let Some(request) = line.strip_prefix(">> ") {
                    answer = serde_json::from_slice(&server.handle(request.as_bytes())).expect("JSON");
                } else if let Some(expected) = line.strip_prefix("<< ") {
                    let expected: Value = serde_json::from_str(expected).expect("JSON");
                    let same = match (expected.get("error"), form_only) {
                        (Some(error), _) => answer["error"]["code"] == error["code"],
                        (None, true) => form(&answer) == form(&expected),
                        (None, false) => answer == expected,
                    };
                    if !same {
                        wrong.push(format!("{name}:\n  {answer}\n  instead of {expected}"));
                    }
                }
            }
        }
        assert!(count >= least, "{method}: {count} of {least} exchanges");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
