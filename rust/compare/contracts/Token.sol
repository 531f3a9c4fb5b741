// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A fungible token with the shape that most deployed ones have: balances and allowances in mappings, checked
/// arithmetic, errors with their numbers, one event per movement, hooks behind internal functions.
///
/// Below it stand loops over its own operations, so that one call measures thousands of them.
contract Token {
    mapping(address => uint256) private _balances;
    mapping(address => mapping(address => uint256)) private _allowances;
    uint256 private _totalSupply;
    string public name = "Measure";
    string public symbol = "MSR";

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    error InvalidSender(address sender);
    error InvalidReceiver(address receiver);
    error InvalidApprover(address approver);
    error InvalidSpender(address spender);
    error InsufficientBalance(address sender, uint256 balance, uint256 needed);
    error InsufficientAllowance(address spender, uint256 allowance, uint256 needed);

    function decimals() public pure returns (uint8) {
        return 18;
    }

    function totalSupply() public view returns (uint256) {
        return _totalSupply;
    }

    function balanceOf(address account) public view returns (uint256) {
        return _balances[account];
    }

    function allowance(address owner, address spender) public view returns (uint256) {
        return _allowances[owner][spender];
    }

    function transfer(address to, uint256 value) public returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) public returns (bool) {
        _approve(msg.sender, spender, value, true);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) public returns (bool) {
        _spend(from, msg.sender, value);
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) internal {
        if (from == address(0)) revert InvalidSender(from);
        if (to == address(0)) revert InvalidReceiver(to);
        _update(from, to, value);
    }

    function _mint(address account, uint256 value) internal {
        if (account == address(0)) revert InvalidReceiver(account);
        _update(address(0), account, value);
    }

    function _update(address from, address to, uint256 value) internal virtual {
        if (from == address(0)) {
            _totalSupply += value;
        } else {
            uint256 held = _balances[from];
            if (held < value) revert InsufficientBalance(from, held, value);
            unchecked {
                _balances[from] = held - value;
            }
        }
        if (to == address(0)) {
            unchecked {
                _totalSupply -= value;
            }
        } else {
            unchecked {
                _balances[to] += value;
            }
        }
        emit Transfer(from, to, value);
    }

    function _approve(address owner, address spender, uint256 value, bool tell) internal virtual {
        if (owner == address(0)) revert InvalidApprover(owner);
        if (spender == address(0)) revert InvalidSpender(spender);
        _allowances[owner][spender] = value;
        if (tell) emit Approval(owner, spender, value);
    }

    function _spend(address owner, address spender, uint256 value) internal virtual {
        uint256 current = allowance(owner, spender);
        if (current < type(uint256).max) {
            if (current < value) revert InsufficientAllowance(spender, current, value);
            unchecked {
                _approve(owner, spender, current - value, false);
            }
        }
    }

    // ---- loops

    function mintLoop(uint256 rounds) external returns (uint256) {
        for (uint256 i = 1; i <= rounds; i++) _mint(address(uint160(i)), i);
        return _totalSupply;
    }

    function transferLoop(uint256 rounds) external returns (uint256) {
        _mint(msg.sender, rounds * rounds);
        for (uint256 i = 1; i <= rounds; i++) transfer(address(uint160(i)), i);
        return balanceOf(msg.sender);
    }

    function approvalLoop(uint256 rounds) external returns (uint256) {
        _mint(msg.sender, rounds * rounds);
        for (uint256 i = 1; i <= rounds; i++) {
            _approve(msg.sender, msg.sender, i, true);
            transferFrom(msg.sender, address(uint160(i)), i);
        }
        return balanceOf(msg.sender);
    }
}
