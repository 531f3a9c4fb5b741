use types::primitives::hex;

use super::*;
use crate::wire::{Frame, Hop, Lender, Message, SignalParts};

fn made(parts: &SignalParts) -> Result<Vec<u8>, NoCall> {
    let (header, _) = crate::wire::tests::golden_signal();
    let bytes = parts.to_frame(&header, None);
    let frame = Frame::decode(&bytes).unwrap();
    let Ok(Message::Signal(signal)) = Message::decode(&frame) else { panic!("no signal") };
    let terms = Terms {
        reference: B256::repeat_byte(0xaa),
        min_profit: U256::from(3),
        recipient: Address::repeat_byte(0xdd),
        deadline: 77,
        max_block: 88,
    };
    call(&signal, &terms)
}

fn parts(action: Action) -> SignalParts {
    let (_, mut parts) = crate::wire::tests::golden_signal();
    parts.identity.action = action;
    parts.lender = Some(Lender { address: Address::repeat_byte(0x55), kind: 0, fee_bps: 9 });
    parts
}

fn words(call: &[u8]) -> Vec<U256> {
    (0..(call.len() - 4) / 32).map(|index| word(&call[4..], index).unwrap()).collect()
}

fn address(byte: u8) -> U256 {
    U256::from_be_bytes(Address::repeat_byte(byte).into_word().0)
}

#[test]
fn selectors_are_those_of_the_signatures() {
    for (signature, selector) in FUNCTIONS {
        assert_eq!(keccak256(signature)[..4], selector, "{signature}");
    }
}

#[test]
fn short_calls_carry_their_arguments_in_order() {
    let amount = U256::from(10_710_773_076_393_409_305u64);
    let tail = [amount, U256::from(3), address(0xdd), U256::from(77)];
    let reference = U256::from_be_bytes([0xaa; 32]);
    let swap = made(&parts(Action::FlashSwap)).unwrap();
    assert_eq!(swap[..4], FLASH_SWAP);
    assert_eq!(words(&swap), [&[reference, address(0x22), address(0x33), address(0x44)][..], &tail].concat());
    for (action, selector) in [(Action::FlashLoan, FLASH_LOAN), (Action::PoolLoan, POOL_LOAN)] {
        let loan = made(&parts(action)).unwrap();
        assert_eq!(loan[..4], selector);
        let head = [reference, address(0x55), address(0x22), address(0x33), address(0x11)];
        assert_eq!(words(&loan), [&head[..], &tail].concat());
    }
}

#[test]
fn longer_paths_go_by_route() {
    let mut parts = parts(Action::FlashSwap);
    parts.pools.push(Address::repeat_byte(0x66));
    assert_eq!(made(&parts), Err(NoCall::NoHops { pools: 3 }));
    parts.hops = vec![Hop { kind: 1, zero_for_one: true, fee: 30 }; 3];
    let route = made(&parts).unwrap();
    assert_eq!(route[..4], ROUTE);
    let words = words(&route);
    // Offsets of the lists point at their lengths.
    for (word, length) in [(3, 3), (4, 2), (5, 1), (6, 3)] {
        let at = usize::try_from(words[word]).unwrap() / 32;
        assert_eq!(words[at], U256::from(length), "list at word {word}");
    }
    assert_eq!(words[10], U256::from(88));
    assert_eq!(route[route.len() - 32..][..4], [1, 1, 30, 0]);
    assert_eq!(words.len(), 11 + 4 + 3 + 2 + 1 + 3);
}

#[test]
fn what_a_call_lacks_is_named() {
    let mut loan = parts(Action::FlashLoan);
    loan.lender = None;
    assert_eq!(made(&loan), Err(NoCall::NoLender));
    let mut raw = parts(Action::RawCall);
    assert_eq!(made(&raw), Err(NoCall::NoCallData));
    raw.raw_call = Some(vec![1, 2, 3]);
    assert_eq!(made(&raw), Ok(vec![1, 2, 3]));
}

#[test]
fn revert_data_is_told_in_words() {
    let text = hex::decode(
        "08c379a000000000000000000000000000000000000000000000000000000000000000200000000000000000000000000000000000000000\
         0000000000000000000000026e6f000000000000000000000000000000000000000000000000000000000000",
    )
    .unwrap();
    assert_eq!(revert_reason(&text), "no");
    let panic = [&[0x4e, 0x48, 0x7b, 0x71][..], &U256::from(0x11).to_be_bytes::<32>()].concat();
    assert_eq!(revert_reason(&panic), "Panic(0x11)");
    let selector = &keccak256("InsufficientProfit(uint256,uint256)")[..4];
    let own = [selector, &U256::from(5).to_be_bytes::<32>(), &U256::from(6).to_be_bytes::<32>()].concat();
    assert_eq!(revert_reason(&own), "InsufficientProfit(5, 6)");
    assert_eq!(revert_reason(&own[..40]), hex::encode_prefixed(&own[..40]));
    assert_eq!(revert_reason(&[]), "reverted without data");
    assert_eq!(revert_reason(&[1, 2]), "0x0102");
}
