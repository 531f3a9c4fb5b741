// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Hashes, and the loop around them.
contract Hashes {
    function run(uint256 rounds) external pure returns (bytes32 sum) {
        for (uint256 i = 0; i < rounds; i++) sum ^= keccak256(abi.encodePacked(i));
    }
}
