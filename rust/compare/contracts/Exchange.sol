// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface Held {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// A constant-product exchange of two tokens with the work that a deployed one does for each swap: a lock, both reserves
/// and the time in one slot, sums of prices over time, a fee of 0.3 %, tokens moved in and out, balances asked again and
/// the product checked.
///
/// The tokens stand in the first two slots, so that one code serves all of them.
contract Exchange {
    address public token0;
    address public token1;
    uint112 private _reserve0;
    uint112 private _reserve1;
    uint32 private _since;
    uint256 public price0Sum;
    uint256 public price1Sum;
    uint256 private _lock;

    event Swap(address indexed sender, uint256 amountIn, uint256 amountOut, bool forward, address indexed to);
    event Sync(uint112 reserve0, uint112 reserve1);

    error Locked();
    error TooLittle(uint256 amountOut, uint256 least);
    error NotPaid();
    error Product();
    error Overflow();

    modifier once() {
        if (_lock == 2) revert Locked();
        _lock = 2;
        _;
        _lock = 1;
    }

    function reserves() public view returns (uint112, uint112, uint32) {
        return (_reserve0, _reserve1, _since);
    }

    /// What an amount buys, the fee taken off.
    function quote(uint256 amountIn, uint256 reserveIn, uint256 reserveOut) public pure returns (uint256) {
        uint256 charged = amountIn * 997;
        return (charged * reserveOut) / (reserveIn * 1000 + charged);
    }

    function swap(bool forward, uint256 amountIn, uint256 least, address to) external once returns (uint256 amountOut) {
        (uint112 reserve0, uint112 reserve1, ) = reserves();
        amountOut = forward ? quote(amountIn, reserve0, reserve1) : quote(amountIn, reserve1, reserve0);
        if (amountOut < least) revert TooLittle(amountOut, least);
        _exchange(forward ? token0 : token1, amountIn, forward ? token1 : token0, amountOut, to);
        uint256 balance0 = Held(token0).balanceOf(address(this));
        uint256 balance1 = Held(token1).balanceOf(address(this));
        uint256 paid0 = balance0 * 1000 - (forward ? amountIn * 3 : 0);
        uint256 paid1 = balance1 * 1000 - (forward ? 0 : amountIn * 3);
        if (paid0 * paid1 < uint256(reserve0) * reserve1 * 1e6) revert Product();
        _update(balance0, balance1, reserve0, reserve1);
        emit Swap(msg.sender, amountIn, amountOut, forward, to);
    }

    function _exchange(address given, uint256 amountIn, address taken, uint256 amountOut, address to) private {
        if (!Held(given).transferFrom(msg.sender, address(this), amountIn)) revert NotPaid();
        if (!Held(taken).transfer(to, amountOut)) revert NotPaid();
    }

    function _update(uint256 balance0, uint256 balance1, uint112 reserve0, uint112 reserve1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert Overflow();
        uint32 time = uint32(block.timestamp);
        unchecked {
            uint32 passed = time - _since;
            if (passed > 0 && reserve0 != 0 && reserve1 != 0) {
                price0Sum += ((uint256(reserve1) << 112) / reserve0) * passed;
                price1Sum += ((uint256(reserve0) << 112) / reserve1) * passed;
            }
        }
        (_reserve0, _reserve1, _since) = (uint112(balance0), uint112(balance1), time);
        emit Sync(uint112(balance0), uint112(balance1));
    }
}
