// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

interface IToken {
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
}

interface IBorrower {
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32);
}

interface IReceiver {
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool);
}

/// An ERC-3156 lender of whatever tokens it holds, for development chains.
contract Lender {
    bytes32 private constant SUCCESS = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 public immutable feeBps;

    constructor(uint256 feeBps_) {
        feeBps = feeBps_;
    }

    function maxFlashLoan(address token) external view returns (uint256) {
        return IToken(token).balanceOf(address(this));
    }

    function flashFee(address, uint256 amount) public view returns (uint256) {
        return (amount * feeBps) / 10_000;
    }

    function flashLoan(address receiver, address token, uint256 amount, bytes calldata data) external returns (bool) {
        uint256 fee = flashFee(token, amount);
        require(IToken(token).transfer(receiver, amount), "not lent");
        bytes32 answer = IBorrower(receiver).onFlashLoan(msg.sender, token, amount, fee, data);
        require(answer == SUCCESS, "the borrower did not agree");
        require(IToken(token).transferFrom(receiver, address(this), amount + fee), "not repaid");
        return true;
    }
}

/// A lending pool of the `executeOperation` kind, for development chains. Its premium is rounded half up.
contract PoolLender {
    uint256 public immutable premiumBps;

    constructor(uint256 premiumBps_) {
        premiumBps = premiumBps_;
    }

    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16) external {
        uint256 premium = (amount * premiumBps + 5_000) / 10_000;
        require(IToken(asset).transfer(receiver, amount), "not lent");
        bool agreed = IReceiver(receiver).executeOperation(asset, amount, premium, msg.sender, params);
        require(agreed, "the borrower did not agree");
        require(IToken(asset).transferFrom(receiver, address(this), amount + premium), "not repaid");
    }
}
