// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;


interface IPair {
    function factory() external view returns (address);
    function getReserves() external view returns (uint112, uint112, uint32);
    function token0() external view returns (address);
    function token1() external view returns (address);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// ERC-3156.
interface ILender {
    function flashLoan(address receiver, address token, uint256 amount, bytes calldata data) external returns (bool);
}

/// A lending pool that calls `executeOperation` and takes its due by `transferFrom`.
interface IPool {
    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16 referral)
        external;
}

/// @title Buys where it is cheap and sells where it is dear, in one transaction, with capital that is lent for it.
///
/// What always holds: only operators start anything, and only one thing at a time. Pools are those of allow-listed
/// factories (their address is recomputed, nobody's word is taken), lenders are allow-listed one by one. A callback is
/// answered once, to whom was called, in the call that called. The contract ends each transaction with the balances
/// and approvals it began with; profit goes to `to`, or all of it reverts. There is nothing here to steal but what
/// somebody sent by mistake, which the owner can rescue.
///
/// Owner and lists are in storage, not in code, so that every deployment has the same code and one code hash.
contract Arbitrageur {
    /// Profit was made: of a signal, in a token, with so much lent.
    event Arbitrage(bytes32 indexed ref, address indexed quote, uint256 borrowed, uint256 profit);

    error InsufficientProfit(uint256 got, uint256 min);
    error Expired(uint256 now_, uint256 deadline);
    error WrongBlock(uint256 got, uint256 max);
    error NotOperator();
    error NotOwner();
    error BadCallback();
    error BadRoute();
    error UnknownPool(address pool);
    error UnknownLender(address lender);
    error TransferFailed(address token);

    /// What a callback has to know to go on.
    struct Plan {
        bytes32 ref;
        address[] pools;
        address[] tokens;
        bytes4[] hops;
        uint256 minProfit;
        address to;
    }

    uint8 private constant FLASH_SWAP = 0;
    uint8 private constant ERC3156 = 1;
    uint8 private constant POOL_LOAN = 2;

    uint256 private constant WHOLE = 10_000; // of fees, in 0.01 %
    bytes4 private constant STANDARD_HOP = 0x0000001e; // constant product, 0.3 %
    bytes32 private constant ERC3156_SUCCESS = keccak256("ERC3156FlashBorrower.onFlashLoan");

    address private constant IDLE = address(0);
    address private constant CALLED = address(1);

    address public owner;
    mapping(address => bool) public operators;
    mapping(address => bool) public lenders;
    /// Hash of the creation code of a factory's pairs; zero: the factory is not allowed.
    mapping(address => bytes32) public pairCodeOf;

    /// Who is to call back: nobody while idle, `CALLED` once they have.
    address private transient expected;

    constructor() {
        owner = msg.sender;
        operators[msg.sender] = true;
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    /// Entry of everything that trades: an operator, in time, and nothing else running.
    modifier trade(uint256 deadline) {
        if (!operators[msg.sender]) revert NotOperator();
        if (block.timestamp > deadline) revert Expired(block.timestamp, deadline);
        if (expected != IDLE) revert BadCallback();
        _;
        expected = IDLE;
    }

    // ---- owner --------------------------------------------------------------------------------------------------

    function setOwner(address next) external onlyOwner {
        owner = next;
    }

    function setOperator(address operator, bool allowed) external onlyOwner {
        operators[operator] = allowed;
    }

    function setLender(address lender, bool allowed) external onlyOwner {
        lenders[lender] = allowed;
    }

    function setFactory(address factory, bytes32 pairCode) external onlyOwner {
        pairCodeOf[factory] = pairCode;
    }

    /// Takes out what somebody sent here by mistake.
    function rescue(address token, address to, uint256 amount) external onlyOwner {
        _transfer(token, to, amount);
    }

    // ---- operators ----------------------------------------------------------------------------------------------

    /// Buys `amount` of `base` in `poolBuy` and sells it in `poolSell`, which pays first.
    function flashSwap(
        bytes32 ref,
        address poolBuy,
        address poolSell,
        address base,
        uint256 amount,
        uint256 minProfit,
        address to,
        uint256 deadline
    ) external trade(deadline) {
        address quote = _other(poolBuy, base);
        _flash(_pairPlan(ref, poolBuy, poolSell, base, quote, minProfit, to), amount);
    }

    /// An ERC-3156 lender lends `amount` of `quote`: base is bought in `poolBuy` and sold in `poolSell`.
    function flashLoan(
        bytes32 ref,
        address lender,
        address poolBuy,
        address poolSell,
        address quote,
        uint256 amount,
        uint256 minProfit,
        address to,
        uint256 deadline
    ) external trade(deadline) {
        address base = _other(poolBuy, quote);
        _loan(ERC3156, lender, _pairPlan(ref, poolBuy, poolSell, quote, base, minProfit, to), amount);
    }

    /// As `flashLoan`, from a lending pool.
    function poolLoan(
        bytes32 ref,
        address lender,
        address poolBuy,
        address poolSell,
        address quote,
        uint256 amount,
        uint256 minProfit,
        address to,
        uint256 deadline
    ) external trade(deadline) {
        address base = _other(poolBuy, quote);
        _loan(POOL_LOAN, lender, _pairPlan(ref, poolBuy, poolSell, quote, base, minProfit, to), amount);
    }

    /// Any number of pools. As many tokens as pools, in the order in which they are held: the first is what is lent
    /// or bought, `amounts[0]` of it. A flash swap (`source` 0) buys that in `pools[0]` for the last token, which
    /// profit is in, and sells it through the others; a loan (1, 2) goes through all pools and comes back to the first
    /// token, which may be named once more at the end. A hop is kind, flags and fee in 0.01 %; the only kind is 0,
    /// constant product.
    function route(
        bytes32 ref,
        uint8 source,
        address lender,
        address[] calldata pools,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes4[] calldata hops,
        uint256 minProfit,
        address to,
        uint64 deadline,
        uint64 maxBlock
    ) external trade(deadline) {
        if (maxBlock != 0 && block.number > maxBlock) revert WrongBlock(block.number, maxBlock);
        uint256 count = pools.length;
        bool closed = source != FLASH_SWAP && tokens.length == count + 1 && tokens[count] == tokens[0];
        if (count < 2 || hops.length != count || amounts.length == 0 || (tokens.length != count && !closed)) {
            revert BadRoute();
        }
        Plan memory plan = Plan(ref, pools, tokens, hops, minProfit, to);
        if (source == FLASH_SWAP) _flash(plan, amounts[0]);
        else if (source <= POOL_LOAN) _loan(source, lender, plan, amounts[0]);
        else revert BadRoute();
    }

    // ---- callbacks ----------------------------------------------------------------------------------------------

    function uniswapV2Call(address sender, uint256, uint256, bytes calldata data) external {
        _accept(sender);
        (Plan memory plan, uint256[] memory amounts, uint256 owed) = abi.decode(data, (Plan, uint256[], uint256));
        address quote = plan.tokens[plan.tokens.length - 1];
        _transfer(quote, plan.pools[0], owed);
        _swap(plan.pools[0], quote, plan.tokens[0], amounts[0], plan.pools[1], "");
        _sell(plan, 1, plan.pools.length - 2, amounts);
    }

    function onFlashLoan(address initiator, address, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32)
    {
        _accept(initiator);
        _trade(abi.decode(data, (Plan)), amount, fee);
        return ERC3156_SUCCESS;
    }

    function executeOperation(address, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool)
    {
        _accept(initiator);
        _trade(abi.decode(params, (Plan)), amount, premium);
        return true;
    }

    /// Only who was called, only in our name, only once.
    function _accept(address initiator) private {
        if (msg.sender != expected || initiator != address(this)) revert BadCallback();
        expected = CALLED;
    }

    // ---- trading ------------------------------------------------------------------------------------------------

    /// The last pool lends what it will pay. Of that the first is paid, which sends what it sells on to the next, and so
    /// on to the last: nothing passes through this contract but the last token.
    function _flash(Plan memory plan, uint256 amount) private {
        address quote = plan.tokens[plan.tokens.length - 1];
        uint256 owed = _amountIn(plan.pools[0], quote, plan.tokens[0], plan.hops[0], amount);
        uint256[] memory amounts = _amountsOut(plan, 1, amount);
        uint256 last = plan.pools.length - 1;
        uint256 profit = _profit(amounts[last], owed, plan.minProfit);
        expected = plan.pools[last];
        bytes memory data = abi.encode(plan, amounts, owed);
        _swap(plan.pools[last], plan.tokens[last - 1], quote, amounts[last], address(this), data);
        if (expected != CALLED) revert BadCallback();
        _transfer(quote, plan.to, profit);
        emit Arbitrage(plan.ref, quote, amount, profit);
    }

    function _loan(uint8 source, address lender, Plan memory plan, uint256 amount) private {
        if (!lenders[lender]) revert UnknownLender(lender);
        expected = lender;
        if (source == ERC3156) {
            ILender(lender).flashLoan(address(this), plan.tokens[0], amount, abi.encode(plan));
        } else {
            IPool(lender).flashLoanSimple(address(this), plan.tokens[0], amount, abi.encode(plan), 0);
        }
        if (expected != CALLED) revert BadCallback();
    }

    /// What a loan is for. The lender takes its due by `transferFrom` when this returns, exactly what is approved.
    function _trade(Plan memory plan, uint256 amount, uint256 fee) private {
        address quote = plan.tokens[0];
        uint256[] memory amounts = _amountsOut(plan, 0, amount);
        uint256 profit = _profit(amounts[amounts.length - 1], amount + fee, plan.minProfit);
        _transfer(quote, plan.pools[0], amount);
        _sell(plan, 0, plan.pools.length - 1, amounts);
        _call(quote, abi.encodeWithSignature("approve(address,uint256)", msg.sender, amount + fee));
        _transfer(quote, plan.to, profit);
        emit Arbitrage(plan.ref, quote, amount, profit);
    }

    function _profit(uint256 proceeds, uint256 owed, uint256 min) private pure returns (uint256 profit) {
        profit = proceeds > owed ? proceeds - owed : 0;
        if (profit < min || proceeds < owed) revert InsufficientProfit(profit, min);
    }

    /// Swaps along the pools from `first` to `last`. What is sold lies in the first of them already; each pays the
    /// next, the very last us.
    function _sell(Plan memory plan, uint256 first, uint256 last, uint256[] memory amounts) private {
        for (uint256 place = first; place <= last; ++place) {
            uint256 leg = place - first;
            address to = place + 1 == plan.pools.length ? address(this) : plan.pools[place + 1];
            _swap(plan.pools[place], plan.tokens[leg], _next(plan, leg), amounts[leg + 1], to, "");
        }
    }

    function _next(Plan memory plan, uint256 leg) private pure returns (address) {
        return leg + 1 == plan.tokens.length ? plan.tokens[0] : plan.tokens[leg + 1];
    }

    function _swap(address pool, address sold, address bought, uint256 out, address to, bytes memory data) private {
        (uint256 out0, uint256 out1) = sold < bought ? (uint256(0), out) : (out, uint256(0));
        IPair(pool).swap(out0, out1, to, data);
    }

    // ---- amounts ------------------------------------------------------------------------------------------------

    /// What is held before and after each pool from `first` on.
    function _amountsOut(Plan memory plan, uint256 first, uint256 amount)
        private
        view
        returns (uint256[] memory amounts)
    {
        amounts = new uint256[](plan.pools.length - first + 1);
        amounts[0] = amount;
        for (uint256 place = first; place < plan.pools.length; ++place) {
            uint256 leg = place - first;
            (uint256 kept, uint256 paid) = _reserves(plan.pools[place], plan.tokens[leg], _next(plan, leg));
            uint256 sold = amounts[leg] * (WHOLE - _fee(plan.hops[place]));
            amounts[leg + 1] = (sold * paid) / (kept * WHOLE + sold);
        }
    }

    /// The least that buys `out` of a pool: the inverse of the constant product, rounded up.
    function _amountIn(address pool, address sold, address bought, bytes4 hop, uint256 out)
        private
        view
        returns (uint256)
    {
        (uint256 kept, uint256 paid) = _reserves(pool, sold, bought);
        if (out >= paid) revert BadRoute();
        return (kept * out * WHOLE) / ((paid - out) * (WHOLE - _fee(hop))) + 1;
    }

    function _fee(bytes4 hop) private pure returns (uint256 fee) {
        fee = uint32(hop) & 0xffff;
        if (uint32(hop) >> 24 != 0 || fee >= WHOLE) revert BadRoute();
    }

    /// A pool's reserves of what is sold to it and bought from it, if it is one of ours.
    function _reserves(address pool, address sold, address bought) private view returns (uint256, uint256) {
        (address token0, address token1) = sold < bought ? (sold, bought) : (bought, sold);
        address factory = IPair(pool).factory();
        bytes32 code = pairCodeOf[factory];
        bytes32 salt = keccak256(abi.encodePacked(token0, token1));
        address real = address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", factory, salt, code)))));
        if (code == 0 || pool != real) revert UnknownPool(pool);
        (uint256 reserve0, uint256 reserve1,) = IPair(pool).getReserves();
        return sold < bought ? (reserve0, reserve1) : (reserve1, reserve0);
    }

    /// The other token of a pair. A pair that lies is found out by `_reserves`.
    function _other(address pool, address token) private view returns (address) {
        address token0 = IPair(pool).token0();
        return token0 == token ? IPair(pool).token1() : token0;
    }

    function _pairPlan(
        bytes32 ref,
        address poolBuy,
        address poolSell,
        address first,
        address second,
        uint256 minProfit,
        address to
    ) private pure returns (Plan memory plan) {
        plan = Plan(ref, new address[](2), new address[](2), new bytes4[](2), minProfit, to);
        (plan.pools[0], plan.pools[1]) = (poolBuy, poolSell);
        (plan.tokens[0], plan.tokens[1]) = (first, second);
        (plan.hops[0], plan.hops[1]) = (STANDARD_HOP, STANDARD_HOP);
    }

    // ---- tokens -------------------------------------------------------------------------------------------------

    function _transfer(address token, address to, uint256 amount) private {
        _call(token, abi.encodeWithSignature("transfer(address,uint256)", to, amount));
    }

    /// Tokens answer true, or nothing.
    function _call(address token, bytes memory data) private {
        (bool ok, bytes memory answer) = token.call(data);
        if (!ok || (answer.length != 0 && !abi.decode(answer, (bool))) || token.code.length == 0) {
            revert TransferFailed(token);
        }
    }
}
