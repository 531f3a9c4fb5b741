//! The engine against a chain that reorganises, nodes that lose and garble, and a process that dies at every record. What
//! an order engine must never do, it must not do in any order of events.

#![expect(unreachable_pub, reason = "a test has no outside")]

mod chain;
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

fn try_all(ops: &[Op], sharing: u32, presim: Presim, relay: Relay) {
    let mut world = World::new(sharing, presim, relay);
    for op in ops {
        apply(&mut world, op);
    }
    world.come_to_rest();
    world.judge();
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
    ) {
        try_all(&ops, sharing, presim, relay);
    }
}

proptest! {
    #![proptest_config(config(cases(8)))]

    #[test]
    fn an_absence_of_any_length_loses_nothing(
        before in prop::collection::vec(op(), 10..50), depth in 0usize..4, blocks in 120usize..140,
        after in prop::collection::vec(op(), 1..10), sharing in 1u32..=2, presim in presims(), relay in relays(),
    ) {
        let ops: Vec<_> = before.into_iter().chain([Op::Absence { depth, blocks }]).chain(after).collect();
        try_all(&ops, sharing, presim, relay);
    }
}
