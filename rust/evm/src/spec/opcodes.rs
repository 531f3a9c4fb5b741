//! The opcodes: one row each, and everything that follows from the byte alone.
//!
//! Prices stand in [`gas`](super::gas), operations in `instructions`; the compiler checks that each row has both.

use super::Fork;

/// Where an operation may stand in a basic block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere: all that can go wrong is the gas.
    Inside,
    /// At the end only. It leaves the straight line, looks at the gas that is left, or may halt for a reason of its
    /// own, so nothing behind it may be paid for before it has run.
    Last,
}

/// What one opcode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode {
    /// As the assembler writes it.
    pub name: &'static str,
    /// Words it takes from the stack, or looks at.
    pub inputs: u8,
    /// Words in their place afterwards.
    pub outputs: u8,
    /// Bytes of code behind it that belong to it.
    pub immediate: u8,
    /// The first fork that knows it.
    pub since: Fork,
    /// Where it may stand in a basic block.
    pub place: Place,
}

macro_rules! opcodes {
    ($($byte:literal $name:ident $inputs:literal $outputs:literal $immediate:literal $since:ident $place:ident,)*) => {
        $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: u8 = $byte;)*

        /// By byte; None where no fork has an opcode.
        pub const OPCODES: [Option<Opcode>; 256] = {
            let mut table = [None; 256];
            $(table[$byte] = Some(Opcode {
                name: stringify!($name),
                inputs: $inputs,
                outputs: $outputs,
                immediate: $immediate,
                since: Fork::$since,
                place: Place::$place,
            });)*
            table
        };
    };
}

#[rustfmt::skip]
opcodes! {
//  byte name       in out immediate since   place
    0x00 STOP            0  0  0 Frontier       Last,
    0x01 ADD             2  1  0 Frontier       Inside,
    0x02 MUL             2  1  0 Frontier       Inside,
    0x03 SUB             2  1  0 Frontier       Inside,
    0x04 DIV             2  1  0 Frontier       Inside,
    0x05 SDIV            2  1  0 Frontier       Inside,
    0x06 MOD             2  1  0 Frontier       Inside,
    0x07 SMOD            2  1  0 Frontier       Inside,
    0x08 ADDMOD          3  1  0 Frontier       Inside,
    0x09 MULMOD          3  1  0 Frontier       Inside,
    0x0a EXP             2  1  0 Frontier       Inside,
    0x0b SIGNEXTEND      2  1  0 Frontier       Inside,
    0x10 LT              2  1  0 Frontier       Inside,
    0x11 GT              2  1  0 Frontier       Inside,
    0x12 SLT             2  1  0 Frontier       Inside,
    0x13 SGT             2  1  0 Frontier       Inside,
    0x14 EQ              2  1  0 Frontier       Inside,
    0x15 ISZERO          1  1  0 Frontier       Inside,
    0x16 AND             2  1  0 Frontier       Inside,
    0x17 OR              2  1  0 Frontier       Inside,
    0x18 XOR             2  1  0 Frontier       Inside,
    0x19 NOT             1  1  0 Frontier       Inside,
    0x1a BYTE            2  1  0 Frontier       Inside,
    0x1b SHL             2  1  0 Constantinople Inside,
    0x1c SHR             2  1  0 Constantinople Inside,
    0x1d SAR             2  1  0 Constantinople Inside,
    0x1e CLZ             1  1  0 Osaka          Inside,
    0x20 KECCAK256       2  1  0 Frontier       Inside,
    0x30 ADDRESS         0  1  0 Frontier       Inside,
    0x31 BALANCE         1  1  0 Frontier       Inside,
    0x32 ORIGIN          0  1  0 Frontier       Inside,
    0x33 CALLER          0  1  0 Frontier       Inside,
    0x34 CALLVALUE       0  1  0 Frontier       Inside,
    0x35 CALLDATALOAD    1  1  0 Frontier       Inside,
    0x36 CALLDATASIZE    0  1  0 Frontier       Inside,
    0x37 CALLDATACOPY    3  0  0 Frontier       Inside,
    0x38 CODESIZE        0  1  0 Frontier       Inside,
    0x39 CODECOPY        3  0  0 Frontier       Inside,
    0x3a GASPRICE        0  1  0 Frontier       Inside,
    0x3b EXTCODESIZE     1  1  0 Frontier       Inside,
    0x3c EXTCODECOPY     4  0  0 Frontier       Inside,
    0x3d RETURNDATASIZE  0  1  0 Byzantium      Inside,
    0x3e RETURNDATACOPY  3  0  0 Byzantium      Last,
    0x3f EXTCODEHASH     1  1  0 Constantinople Inside,
    0x40 BLOCKHASH       1  1  0 Frontier       Inside,
    0x41 COINBASE        0  1  0 Frontier       Inside,
    0x42 TIMESTAMP       0  1  0 Frontier       Inside,
    0x43 NUMBER          0  1  0 Frontier       Inside,
    0x44 PREVRANDAO      0  1  0 Frontier       Inside,
    0x45 GASLIMIT        0  1  0 Frontier       Inside,
    0x46 CHAINID         0  1  0 Istanbul       Inside,
    0x47 SELFBALANCE     0  1  0 Istanbul       Inside,
    0x48 BASEFEE         0  1  0 London         Inside,
    0x49 BLOBHASH        1  1  0 Cancun         Inside,
    0x4a BLOBBASEFEE     0  1  0 Cancun         Inside,
    0x50 POP             1  0  0 Frontier       Inside,
    0x51 MLOAD           1  1  0 Frontier       Inside,
    0x52 MSTORE          2  0  0 Frontier       Inside,
    0x53 MSTORE8         2  0  0 Frontier       Inside,
    0x54 SLOAD           1  1  0 Frontier       Inside,
    0x55 SSTORE          2  0  0 Frontier       Last,
    0x56 JUMP            1  0  0 Frontier       Last,
    0x57 JUMPI           2  0  0 Frontier       Last,
    0x58 PC              0  1  0 Frontier       Inside,
    0x59 MSIZE           0  1  0 Frontier       Inside,
    0x5a GAS             0  1  0 Frontier       Last,
    0x5b JUMPDEST        0  0  0 Frontier       Inside,
    0x5c TLOAD           1  1  0 Cancun         Inside,
    0x5d TSTORE          2  0  0 Cancun         Last,
    0x5e MCOPY           3  0  0 Cancun         Inside,
    0x5f PUSH0           0  1  0 Shanghai       Inside,
    0x60 PUSH1           0  1  1 Frontier       Inside,
    0x61 PUSH2           0  1  2 Frontier       Inside,
    0x62 PUSH3           0  1  3 Frontier       Inside,
    0x63 PUSH4           0  1  4 Frontier       Inside,
    0x64 PUSH5           0  1  5 Frontier       Inside,
    0x65 PUSH6           0  1  6 Frontier       Inside,
    0x66 PUSH7           0  1  7 Frontier       Inside,
    0x67 PUSH8           0  1  8 Frontier       Inside,
    0x68 PUSH9           0  1  9 Frontier       Inside,
    0x69 PUSH10          0  1 10 Frontier       Inside,
    0x6a PUSH11          0  1 11 Frontier       Inside,
    0x6b PUSH12          0  1 12 Frontier       Inside,
    0x6c PUSH13          0  1 13 Frontier       Inside,
    0x6d PUSH14          0  1 14 Frontier       Inside,
    0x6e PUSH15          0  1 15 Frontier       Inside,
    0x6f PUSH16          0  1 16 Frontier       Inside,
    0x70 PUSH17          0  1 17 Frontier       Inside,
    0x71 PUSH18          0  1 18 Frontier       Inside,
    0x72 PUSH19          0  1 19 Frontier       Inside,
    0x73 PUSH20          0  1 20 Frontier       Inside,
    0x74 PUSH21          0  1 21 Frontier       Inside,
    0x75 PUSH22          0  1 22 Frontier       Inside,
    0x76 PUSH23          0  1 23 Frontier       Inside,
    0x77 PUSH24          0  1 24 Frontier       Inside,
    0x78 PUSH25          0  1 25 Frontier       Inside,
    0x79 PUSH26          0  1 26 Frontier       Inside,
    0x7a PUSH27          0  1 27 Frontier       Inside,
    0x7b PUSH28          0  1 28 Frontier       Inside,
    0x7c PUSH29          0  1 29 Frontier       Inside,
    0x7d PUSH30          0  1 30 Frontier       Inside,
    0x7e PUSH31          0  1 31 Frontier       Inside,
    0x7f PUSH32          0  1 32 Frontier       Inside,
    0x80 DUP1            1  2  0 Frontier       Inside,
    0x81 DUP2            2  3  0 Frontier       Inside,
    0x82 DUP3            3  4  0 Frontier       Inside,
    0x83 DUP4            4  5  0 Frontier       Inside,
    0x84 DUP5            5  6  0 Frontier       Inside,
    0x85 DUP6            6  7  0 Frontier       Inside,
    0x86 DUP7            7  8  0 Frontier       Inside,
    0x87 DUP8            8  9  0 Frontier       Inside,
    0x88 DUP9            9 10  0 Frontier       Inside,
    0x89 DUP10          10 11  0 Frontier       Inside,
    0x8a DUP11          11 12  0 Frontier       Inside,
    0x8b DUP12          12 13  0 Frontier       Inside,
    0x8c DUP13          13 14  0 Frontier       Inside,
    0x8d DUP14          14 15  0 Frontier       Inside,
    0x8e DUP15          15 16  0 Frontier       Inside,
    0x8f DUP16          16 17  0 Frontier       Inside,
    0x90 SWAP1           2  2  0 Frontier       Inside,
    0x91 SWAP2           3  3  0 Frontier       Inside,
    0x92 SWAP3           4  4  0 Frontier       Inside,
    0x93 SWAP4           5  5  0 Frontier       Inside,
    0x94 SWAP5           6  6  0 Frontier       Inside,
    0x95 SWAP6           7  7  0 Frontier       Inside,
    0x96 SWAP7           8  8  0 Frontier       Inside,
    0x97 SWAP8           9  9  0 Frontier       Inside,
    0x98 SWAP9          10 10  0 Frontier       Inside,
    0x99 SWAP10         11 11  0 Frontier       Inside,
    0x9a SWAP11         12 12  0 Frontier       Inside,
    0x9b SWAP12         13 13  0 Frontier       Inside,
    0x9c SWAP13         14 14  0 Frontier       Inside,
    0x9d SWAP14         15 15  0 Frontier       Inside,
    0x9e SWAP15         16 16  0 Frontier       Inside,
    0x9f SWAP16         17 17  0 Frontier       Inside,
    0xa0 LOG0            2  0  0 Frontier       Last,
    0xa1 LOG1            3  0  0 Frontier       Last,
    0xa2 LOG2            4  0  0 Frontier       Last,
    0xa3 LOG3            5  0  0 Frontier       Last,
    0xa4 LOG4            6  0  0 Frontier       Last,
    0xf0 CREATE          3  1  0 Frontier       Last,
    0xf1 CALL            7  1  0 Frontier       Last,
    0xf2 CALLCODE        7  1  0 Frontier       Last,
    0xf3 RETURN          2  0  0 Frontier       Last,
    0xf4 DELEGATECALL    6  1  0 Homestead      Last,
    0xf5 CREATE2         4  1  0 Constantinople Last,
    0xfa STATICCALL      6  1  0 Byzantium      Last,
    0xfd REVERT          2  0  0 Byzantium      Last,
    0xfe INVALID         0  0  0 Frontier       Last,
    0xff SELFDESTRUCT    1  0  0 Frontier       Last,
}

/// The opcode with this name; upper and lower case count the same.
pub fn by_name(name: &str) -> Option<u8> {
    (0..=u8::MAX).find(|byte| OPCODES[*byte as usize].is_some_and(|opcode| opcode.name.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_byte() {
        let known = (0..=u8::MAX).filter_map(|byte| Some((byte, OPCODES[byte as usize]?)));
        let count = known.map(|(byte, opcode)| assert_eq!(by_name(opcode.name), Some(byte))).count();
        assert_eq!(count, 150);
        assert_eq!(by_name("nonsense"), None);
    }

    #[test]
    fn families_are_laid_out_by_their_number() {
        for words in 1..=32 {
            assert_eq!(OPCODES[(PUSH0 + words) as usize].unwrap().immediate, words);
        }
        for depth in 1..=16 {
            assert_eq!(OPCODES[(DUP1 + depth - 1) as usize].unwrap().inputs, depth);
            assert_eq!(OPCODES[(SWAP1 + depth - 1) as usize].unwrap().inputs, depth + 1);
        }
    }
}
