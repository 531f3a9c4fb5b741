//! What a tracer hears, and that hearing changes nothing.

use execlayer_evm::{
    BlockEnv, ChainSpec, Fork, HaltReason, Tracer,
    frame::{FrameResult, Kind, Machine, Message, Status, run},
    trace::{Calls, Lines, Shown, Step, Steps},
};
use state::{MemoryState, Overlay};
use types::{Address, Bytes, U256};

const CONTRACT: Address = Address::repeat_byte(0xc0);
const WITH_MEMORY: Shown = Shown { stack: true, memory: true, returned: false };

fn run_code(code: &str, gas: u64, tracer: Option<&mut dyn Tracer>) -> FrameResult {
    let rules = ChainSpec::at(1, Fork::Osaka).rules(1, 1);
    let block = BlockEnv::default();
    let mut world = MemoryState::default();
    world.insert(CONTRACT, 1, U256::ZERO, code.parse().expect("hex"));
    let mut overlay = Overlay::new(&world);
    overlay.begin();
    let tracer = tracer.map(|tracer| tracer as &mut dyn Tracer);
    let (origin, gas_price) = (Address::ZERO, U256::ZERO);
    let mut machine =
        Machine { rules: &rules, block: &block, overlay: &mut overlay, origin, gas_price, blob_hashes: &[], tracer };
    let message = Message {
        kind: Kind::Call,
        is_static: false,
        caller: origin,
        target: CONTRACT,
        code_from: CONTRACT,
        value: U256::ZERO,
        input: Bytes::new(),
        gas,
    };
    run(&mut machine, message).expect("memory can be read")
}

#[test]
fn lines_are_those_of_eip_3155() {
    // PUSH1 2 PUSH0 MSTORE8 INVALID
    let code = "60025f53fe";
    let mut lines = Vec::new();
    let mut writer = Lines::new(WITH_MEMORY, |line: &str| lines.push(line.to_owned()));
    let traced = run_code(code, 100, Some(&mut writer));
    let expected = [
        r#"{"pc":0,"op":96,"gas":"0x64","memSize":0,"stack":[],"depth":1,"refund":0,"opName":"PUSH1","memory":"0x","gasCost":"0x3"}"#,
        r#"{"pc":2,"op":95,"gas":"0x61","memSize":0,"stack":["0x2"],"depth":1,"refund":0,"opName":"PUSH0","memory":"0x","gasCost":"0x2"}"#,
        r#"{"pc":3,"op":83,"gas":"0x5f","memSize":0,"stack":["0x2","0x0"],"depth":1,"refund":0,"opName":"MSTORE8","memory":"0x","gasCost":"0x6"}"#,
    ];
    assert_eq!(lines[..3], expected);
    assert!(lines[3].contains(r#""memSize":32"#) && lines[3].ends_with(r#""error":"invalid opcode 0xfe"}"#));
    assert_eq!(lines[4], r#"{"output":"0x","gasLeft":"0x0","pass":false}"#);
    assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(traced, run_code(code, 100, None));
    assert_eq!(traced.status, Status::Halt(HaltReason::InvalidOpcode(0xfe)));
}

#[test]
fn a_line_shows_what_was_asked_for() {
    // The identity precompile, asked for one byte: PUSH1 1 PUSH0 PUSH1 1 PUSH0 PUSH1 4 GAS STATICCALL.
    let code = "60015f60015f60045afa";
    let told = |shown: Shown| {
        let mut last = String::new();
        run_code(
            code,
            10_000,
            Some(&mut Lines::new(shown, |line: &str| {
                if line.contains("opName") {
                    line.clone_into(&mut last);
                }
            })),
        );
        serde_json::from_str::<serde_json::Value>(&last).expect("JSON")
    };
    let usual = told(Shown::default());
    assert_eq!(usual["stack"], serde_json::json!(["0x1"]));
    assert!(usual.get("memory").is_none() && usual.get("returnData").is_none());
    let other = told(Shown { stack: false, memory: false, returned: true });
    assert_eq!((&other["stack"], &other["returnData"]), (&serde_json::Value::Null, &serde_json::json!("0x00")));
    assert!(other.get("memory").is_none());
}

/// Notes messages and steps.
#[derive(Default)]
struct Notes {
    steps: Vec<(usize, String)>,
    costs: Vec<u64>,
    calls: Vec<(usize, Kind, bool)>,
}

impl Tracer for Notes {
    fn step(&mut self, step: &Step<'_>) {
        self.steps.push((step.depth, step.name.to_owned()));
    }

    fn stepped(&mut self, cost: u64, _: Option<HaltReason>) {
        self.costs.push(cost);
    }

    fn enter(&mut self, message: &Message, depth: usize) {
        self.calls.push((depth, message.kind, false));
    }

    fn leave(&mut self, result: &FrameResult, depth: usize) {
        let (_, kind, _) = *self.calls.iter().rev().find(|call| call.0 == depth).expect("it was entered");
        self.calls.push((depth, kind, result.status == Status::Success));
    }
}

#[test]
fn messages_are_heard_of_with_their_depth_and_their_steps_between() {
    // STATICCALL of the identity precompile with 100 gas, POP, then CREATE of nothing.
    let code = "5f5f5f5f60046064fa505f5f5ff0";
    let mut notes = Notes::default();
    let traced = run_code(code, 100_000, Some(&mut notes));
    assert_eq!(traced, run_code(code, 100_000, None));
    let (call, create) = (Kind::StaticCall, Kind::Create);
    let expected = [
        (1, Kind::Call, false),
        (2, call, false),
        (2, call, true),
        (2, create, false),
        (2, create, true),
        (1, Kind::Call, true),
    ];
    assert_eq!(notes.calls, expected);
    // A call's cost holds the gas that it passes on: 100 for a warm account, and 100.
    let at = notes.steps.iter().position(|step| *step == (1, "STATICCALL".to_owned())).expect("it ran");
    assert_eq!(notes.costs[at], 200);
    assert!(notes.steps.contains(&(2, "STOP".to_owned())), "the empty creation stops at once");
    assert_eq!(notes.steps.last(), Some(&(1, "STOP".to_owned())));
}

#[test]
fn kept_steps_are_the_lines_and_the_tree_is_that_of_the_messages() {
    // PUSH0 MLOAD POP, STATICCALL of the identity precompile with three bytes, CREATE2 of nothing, REVERT.
    let code = "5f5150 5f5f60035f60046064fa50 5f5f5f5ff550 5f5ffd".replace(' ', "");
    let mut lines = Vec::new();
    let mut writer = Lines::new(WITH_MEMORY, |line: &str| lines.push(line.to_owned()));
    let traced = run_code(&code, 100_000, Some(&mut writer));
    let mut both = (Steps::new(true, 1 << 20), Calls::default());
    assert_eq!(run_code(&code, 100_000, Some(&mut both)), traced);
    let (steps, calls) = both;
    // The last line is the end of it.
    let kept: Vec<_> = (0..steps.len()).map(|index| steps.line(index).expect("it is kept")).collect();
    assert_eq!(kept, lines[..lines.len() - 1]);
    assert_eq!((steps.dropped(), steps.get(steps.len()).is_none()), (0, true));
    let [own, identity, created] = calls.calls() else { panic!("{calls:?}") };
    assert_eq!((own.kind, own.parent, own.status), ("CALL", None, Status::Revert));
    assert_eq!(own.gas_used, 100_000 - traced.gas_left);
    assert_eq!((identity.kind, identity.parent, identity.output.len()), ("STATICCALL", Some(0), 3));
    assert_eq!((identity.from, identity.to), (CONTRACT, Address::with_last_byte(4)));
    assert_eq!((identity.gas, identity.gas_used), (100, 18));
    assert_eq!((created.kind, created.parent, created.status), ("CREATE2", Some(0), Status::Success));
}

#[test]
fn steps_that_are_too_many_are_counted_and_not_kept() {
    // A loop until the gas is gone: JUMPDEST PUSH0 JUMP, twelve gas a round.
    let mut steps = Steps::new(false, 10_000);
    run_code("5b5f56", 12_000, Some(&mut steps));
    assert!(steps.len() < 200 && steps.dropped() > 2_500, "{} and {}", steps.len(), steps.dropped());
    assert_eq!(steps.get(0).expect("kept").step.name, "JUMPDEST");
}
