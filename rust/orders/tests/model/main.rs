//! The engine against a chain that reorganises, nodes that lose and garble, and a process that dies at every record. What
//! an order engine must never do, it must not do in any order of events.

#![expect(unreachable_pub, reason = "a test has no outside")]

mod chain;
mod signal;
mod world;

use execlayer_orders::{
    Input,
    config::{Presim, Relay},
    wire::Channel,
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use world::{Way, World};

#[derive(Clone, Debug)]
enum Op {
    Signal { profit: u64, channel: u8, repeat: bool },
    Deliver { pick: usize, way: u8 },
    Mine { room: usize, full: bool, builder: bool },
    Reorganise { depth: usize, room: usize },
    ShowHead,
    ShowOldHead { back: usize },
    Answer { pick: usize },
    Accounts,
    StaleAccounts { back: usize },
    Pass { ms: u64 },
    Crash,
    CrashWithin { what: u8, kept: usize, order: u64 },
    Snapshot,
    Cancel { order: u64 },
    SpeedUp { order: u64 },
    Finalize { back: usize },
    Absence { depth: usize, blocks: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1_000_000u64..400_000_000, 0u8..4, prop::bool::weighted(0.1))
            .prop_map(|(profit, channel, repeat)| Op::Signal { profit, channel, repeat }),
        12 => (0usize..50, 0u8..10).prop_map(|(pick, way)| Op::Deliver { pick, way }),
        5 => (0usize..6, any::<bool>(), any::<bool>()).prop_map(|(room, full, builder)| Op::Mine { room, full, builder }),
        1 => (1usize..6, 0usize..4).prop_map(|(depth, room)| Op::Reorganise { depth, room }),
        6 => Just(Op::ShowHead),
        1 => (0usize..8).prop_map(|back| Op::ShowOldHead { back }),
        12 => (0usize..50).prop_map(|pick| Op::Answer { pick }),
        2 => Just(Op::Accounts),
        1 => (1usize..6).prop_map(|back| Op::StaleAccounts { back }),
        3 => prop_oneof![Just(100u64), Just(1_100), Just(12_000), Just(301_000)].prop_map(|ms| Op::Pass { ms }),
        1 => Just(Op::Crash),
        1 => (0u8..4, 0usize..6, 1u64..20).prop_map(|(what, kept, order)| Op::CrashWithin { what, kept, order }),
        1 => Just(Op::Snapshot),
        1 => (1u64..20).prop_map(|order| Op::Cancel { order }),
        1 => (1u64..20).prop_map(|order| Op::SpeedUp { order }),
        1 => (3usize..8).prop_map(|back| Op::Finalize { back }),
    ]
}

/// Nothing below may be reorganised any more.
fn blocks_up_to(world: &World, number: u64) -> usize {
    world.chain.blocks.iter().filter(|block| block.head.number <= number).count()
}

fn apply(world: &mut World, op: &Op) {
    match *op {
        Op::Signal { profit, channel, repeat } => {
            world.signal(profit, Channel::from_number(channel).unwrap(), repeat);
        }
        Op::Deliver { pick, way } => {
            let way = match way {
                0 => Way::LostBefore,
                1 => Way::LostBehind,
                2 => Way::Garbled,
                3 => Way::Twice,
                _ => Way::Fine,
            };
            world.deliver(pick, way);
        }
        Op::Mine { room, full, builder } => {
            world.chain.mine(room, if full { chain::GAS_LIMIT } else { chain::GAS_LIMIT / 2 }, builder);
        }
        Op::Reorganise { depth, room } => {
            let free = world.chain.blocks.len() - world.final_blocks.max(1);
            world.deep |= depth.min(free) as u64 > world.config.confirmation_blocks;
            world.chain.reorganise(depth.min(free), room);
        }
        Op::Absence { depth, blocks } => {
            let free = world.chain.blocks.len() - world.final_blocks.max(1);
            world.deep |= depth.min(free) as u64 > world.config.confirmation_blocks;
            world.chain.reorganise(depth.min(free), 1);
            for _ in 0..blocks {
                world.chain.mine(1, chain::GAS_LIMIT / 2, false);
            }
            world.crash();
            world.final_blocks = world.chain.blocks.len() - 5;
        }
        Op::ShowHead => world.show_head(),
        Op::ShowOldHead { back } => {
            let blocks = &world.chain.blocks;
            let head = blocks[blocks.len().saturating_sub(1 + back)].head;
            world.step(Input::Head { head });
        }
        Op::Answer { pick } => world.answer(pick),
        Op::Accounts => world.tell_accounts(),
        Op::StaleAccounts { back } => world.tell_stale_accounts(back),
        Op::Pass { ms } => world.pass(ms),
        Op::Crash => world.crash(),
        Op::CrashWithin { what, kept, order } => {
            let head = world.chain.head();
            let input = match what {
                0 => Input::Tick,
                1 => Input::Head { head },
                2 => Input::Cancel { order_id: order },
                _ => Input::SpeedUp { order_id: order },
            };
            world.crash_within(input, kept);
        }
        Op::Snapshot => world.snapshot(),
        Op::Cancel { order } => world.step(Input::Cancel { order_id: order }),
        Op::SpeedUp { order } => world.step(Input::SpeedUp { order_id: order }),
        Op::Finalize { back } => {
            let blocks = &world.chain.blocks;
            let head = blocks[blocks.len().saturating_sub(1 + back)].head;
            world.step(Input::Finalized { number: head.number, block: head.hash });
            world.final_blocks = world.final_blocks.max(blocks_up_to(world, head.number));
        }
    }
}

fn try_all(ops: &[Op], sharing: u32, presim: Presim, relay: Relay, outside: usize) -> World {
    let mut world = World::new(sharing, presim, relay, outside);
    for op in ops {
        apply(&mut world, op);
    }
    world.come_to_rest();
    world.judge();
    world
}

fn config(cases: u32) -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as _);
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

/// So many, unless `PROPTEST_CASES` says otherwise.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn presims() -> impl Strategy<Value = Presim> {
    prop::sample::select(Presim::ALL)
}

fn relays() -> impl Strategy<Value = Relay> {
    prop::sample::select(&Relay::ALL[1..])
}

proptest! {
    #![proptest_config(config(cases(150)))]

    #[test]
    fn nothing_is_executed_twice_lost_or_misreported(
        ops in prop::collection::vec(op(), 1..120), sharing in 1u32..=2, presim in presims(), relay in relays(),
        outside in 0usize..=2,
    ) {
        try_all(&ops, sharing, presim, relay, outside);
    }
}

proptest! {
    #![proptest_config(config(cases(40)))]

    #[test]
    fn what_comes_again_late_and_in_another_order_changes_nothing_that_has_ended(
        ops in prop::collection::vec(op(), 20..80), presim in presims(), relay in relays(), outside in 0usize..=2,
        first in any::<prop::sample::Index>(), stride in prop::sample::select(&[1usize, 7, 31, 101]),
    ) {
        let mut world = try_all(&ops, 1, presim, relay, outside);
        world.say_all_again(first.index(1000), stride);
        world.judge();
    }
}

proptest! {
    #![proptest_config(config(cases(8)))]

    #[test]
    fn an_absence_of_any_length_loses_nothing(
        before in prop::collection::vec(op(), 10..50), depth in 0usize..4, blocks in 120usize..140,
        after in prop::collection::vec(op(), 1..10), sharing in 1u32..=2, presim in presims(), relay in relays(),
        outside in 0usize..=2,
    ) {
        let ops: Vec<_> = before.into_iter().chain([Op::Absence { depth, blocks }]).chain(after).collect();
        try_all(&ops, sharing, presim, relay, outside);
    }
}

/// Orders on their way through a reorganisation to their end. `calm`: nothing of it hangs on when something is heard,
/// so that whoever hears it late ends with the same; else every way there is is gone once.
fn scenario(calm: bool) -> Vec<Op> {
    let signal = |profit, channel: Channel| {
        let channel = if calm { Channel::Public } else { channel };
        Op::Signal { profit, channel: channel as u8, repeat: false }
    };
    let mine = |builder| Op::Mine { room: 4, full: false, builder };
    let hear = [Op::ShowHead, Op::Answer { pick: 0 }, Op::Answer { pick: 0 }, Op::Accounts];
    let fine = |count: usize| vec![Op::Deliver { pick: 0, way: 9 }; count];
    let mut ops = vec![signal(300_000_000, Channel::Public), signal(250_000_000, Channel::Private)];
    ops.extend(fine(2));
    ops.extend([signal(200_000_000, Channel::Hybrid), Op::Deliver { pick: 0, way: 1 }]);
    ops.extend((!calm).then_some(Op::Pass { ms: 1_100 }));
    ops.extend(fine(4));
    ops.push(mine(true));
    ops.extend(hear.clone());
    ops.extend([signal(1_000, Channel::Public), signal(310_000_000, Channel::Public), Op::Deliver { pick: 0, way: 2 }]);
    ops.extend((!calm).then_some(Op::Cancel { order: 5 }));
    ops.push(Op::Snapshot);
    ops.extend(fine(3));
    ops.push(mine(false));
    ops.extend(hear.clone());
    ops.push(Op::Reorganise { depth: 1, room: 4 });
    ops.extend(hear.clone());
    ops.extend(fine(3));
    for _ in 0..3 {
        ops.push(mine(true));
        ops.extend(hear.clone());
    }
    ops
}

#[test]
fn a_process_that_ends_after_any_record_of_its_journal_leaves_the_ledger_of_one_that_does_not() {
    let ways = [(true, Presim::Off, 0), (false, Presim::Off, 0), (false, Presim::Always, 0), (false, Presim::Off, 1)];
    for (calm, presim, outside) in ways {
        let run = |last_record| {
            let mut world = World::new(1, presim, Relay::Flashbots, outside);
            let first = world.engine().next_record();
            world.last_record = last_record;
            scenario(calm).iter().for_each(|op| apply(&mut world, op));
            let records = world.engine().next_record();
            world.come_to_rest();
            // The ledger is what the chain did, each signal has one outcome, none was executed twice.
            world.judge();
            assert_eq!(world.last_record, None, "it ended once");
            (first..records, world.engine().core().state().counters().total_realized_wei)
        };
        let (records, ledger) = run(None);
        assert!(records.clone().count() > 50 && ledger > 0, "{records:?}, {ledger} wei");
        for last in records {
            let (_, after) = run(Some(last));
            assert!(!calm || after == ledger, "{after} wei and not {ledger} after record {last}");
        }
    }
}
