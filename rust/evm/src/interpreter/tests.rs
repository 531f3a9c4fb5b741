//! Memory and stack for themselves; what operations do with them the public fixtures tell.

use super::{
    Exit, HaltReason,
    memory::{MEMORY_LIMIT, Memory},
    stack::Stack,
};
use types::U256;

fn is_out_of_gas<T>(result: Result<T, Exit>) -> bool {
    matches!(result, Err(Exit::Halt(HaltReason::OutOfGas)))
}

#[test]
fn memory_is_paid_to_the_word_and_grows_only_when_paid() {
    let mut memory = Memory::default();
    let mut gas = 5;
    assert!(is_out_of_gas(memory.reach(&mut gas, 3, U256::from(1), 32)), "two words cost six");
    assert_eq!((gas, memory.len()), (5, 0));
    assert_eq!(memory.reach(&mut gas, 3, U256::ZERO, 32).unwrap(), 0);
    assert_eq!((gas, memory.len()), (2, 32));
    assert_eq!(memory.reach(&mut gas, 3, U256::from(31), 1).unwrap(), 31, "what is there is free");
    assert_eq!(gas, 2);
}

#[test]
fn memory_costs_the_square_of_its_words_besides() {
    // 724 words: 3 each, and 724 * 724 / 512 = 1,023.
    for (gas, enough) in [(724 * 3 + 1_023, true), (724 * 3 + 1_022, false)] {
        let mut left = gas;
        let reached = Memory::default().reach(&mut left, 3, U256::from(724 * 32 - 1), 1);
        assert_eq!(reached.is_ok(), enough, "{gas}");
    }
}

#[test]
fn no_offset_reaches_memory_that_cannot_be() {
    let mut gas = u64::MAX;
    for offset in [U256::MAX, U256::from(u64::MAX), U256::from(MEMORY_LIMIT), U256::from(1) << 64] {
        assert!(is_out_of_gas(Memory::default().reach(&mut gas, 3, offset, 1)), "{offset}");
        assert_eq!(Memory::default().reach(&mut gas, 3, offset, 0).unwrap(), 0, "nothing is nowhere");
    }
    assert_eq!(gas, u64::MAX);
}

#[test]
fn copies_into_memory_end_with_zeros() {
    let mut memory = Memory::default();
    memory.reach(&mut 1_000, 3, U256::ZERO, 32).unwrap();
    memory.set_word(0, U256::MAX);
    memory.copy_padded(4, &[1, 2, 3], U256::from(1), 4);
    assert_eq!(memory.slice(3, 6), [0xff, 2, 3, 0, 0, 0xff]);
    memory.copy_padded(0, &[1, 2, 3], U256::MAX, 2);
    assert_eq!(memory.slice(0, 3), [0, 0, 0xff]);
    memory.copy_within(1, 0, 5);
    assert_eq!(memory.slice(0, 7), [0, 0, 0, 0xff, 0xff, 2, 0]);
}

#[test]
fn memory_that_is_used_again_is_zero_and_paid_anew() {
    let mut memory = Memory::default();
    memory.reach(&mut 1_000, 3, U256::ZERO, 64).unwrap();
    memory.set_word(0, U256::MAX);
    memory.clear();
    let mut gas = 3;
    memory.reach(&mut gas, 3, U256::ZERO, 32).unwrap();
    assert_eq!((memory.word(0), gas), (U256::ZERO, 0));
}

#[test]
fn the_stack_copies_and_exchanges_by_depth() {
    let mut stack = Stack::new();
    for word in 1u64..=4 {
        stack.push(U256::from(word));
    }
    stack.dup(3);
    stack.swap(2);
    let words: Vec<u64> = stack.words().iter().map(|word| word.to()).collect();
    assert_eq!(words, [1, 2, 1, 4, 3]);
    assert_eq!(stack.take::<2>(), [U256::from(3), U256::from(4)]);
    *stack.top() = U256::MAX;
    assert_eq!(stack.pop(), U256::MAX);
    assert_eq!(stack.len(), 2);
}
