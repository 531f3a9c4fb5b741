"""Every way in which execlayer says no: one class for each reason, its numbers as attributes.

Catch as broadly as you like: all are :class:`ExeclayerError`; each family (a transaction that is refused, a genesis
that can't be used, a store that can't be opened …) has a class of its own. After any of them the chain is as it was.

Rust raises these classes by name (``rust/py/src/error.rs``); a test holds both lists against each other. A transaction
that runs and fails is no error but an outcome, and travels in its receipt.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ExeclayerError(Exception):
    """Anything that execlayer refuses to do, or cannot do."""

    fields: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that say what was wrong."""

    def __init_subclass__(cls) -> None:
        cls.fields = (*cls.fields, *cls.__annotations__)

    def __init__(self, message: str, /, **fields: Any) -> None:
        if set(fields) != set(self.fields):
            raise TypeError(f"{type(self).__name__} has {self.fields}, got {tuple(fields)}")
        super().__init__(message)
        self.__dict__.update(fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), {name: getattr(self, name) for name in self.fields})


def _rebuild(cls: type[ExeclayerError], message: str, fields: dict[str, Any]) -> ExeclayerError:
    return cls(message, **fields)


class InternalError(ExeclayerError, RuntimeError):
    """A bug in execlayer: something that can't happen did. Please report it."""


class InvalidArgument(ExeclayerError, TypeError, ValueError):
    """An argument of a call is of the wrong type or out of range."""

    field: str
    value: Any
    expected: str


class InvalidConfig(ExeclayerError, ValueError):
    """A setting is unknown, or its value can't be used."""

    field: str
    value: Any
    reason: str


# ---- keys -----------------------------------------------------------------------------------------------------------


class InvalidKey(ExeclayerError, ValueError):
    """32 bytes that are no secret key."""


# ---- genesis --------------------------------------------------------------------------------------------------------


class InvalidGenesis(ExeclayerError, ValueError):
    """A genesis that can't be used."""


class GenesisNotJson(InvalidGenesis):
    """The text is not JSON."""

    reason: str


class GenesisFieldMissing(InvalidGenesis):
    """A field that must be there is not."""

    path: str


class GenesisFieldInvalid(InvalidGenesis):
    """A field does not hold what it should."""

    path: str
    value: str
    expected: str


class GenesisPriceInvalid(InvalidGenesis):
    """A gas price that is overridden under a name nobody knows, or with an impossible value."""

    path: str
    reason: str


# ---- rules ----------------------------------------------------------------------------------------------------------


class InvalidSpec(ExeclayerError, ValueError):
    """Rules that can't be."""


class UnknownFork(InvalidSpec):
    """No fork has this name."""

    name: str


class ForkOrder(InvalidSpec):
    """A fork that begins before the one that it builds on, or that builds on one that never begins."""

    fork: str
    after: str


class NoFork(InvalidSpec):
    """No fork holds from the first block on."""


class InvalidBlobs(InvalidSpec):
    """Blob parameters that can't be: a target above the maximum, a maximum of 2**32 or more, or a fraction of zero."""

    time: int
    target: int
    max: int
    update_fraction: int


class BlobOrder(InvalidSpec):
    """Blob parameters that stand behind later ones."""

    time: int


class UnknownPrice(InvalidSpec):
    """Neither an opcode nor a gas constant."""

    name: str


class UnknownSchedule(InvalidSpec):
    """No ready gas schedule has this name."""

    name: str


class PriceNotAtFork(InvalidSpec):
    """The opcode exists, but not at this fork."""

    name: str
    fork: str


class PriceOutOfRange(InvalidSpec):
    """A price that can't be charged."""

    name: str
    value: int
    minimum: int
    maximum: int


class ColdBelowWarm(InvalidSpec):
    """A first access cheaper than the later ones."""

    cold_name: str
    cold: int
    warm_name: str
    warm: int


class OpcodeTaken(InvalidSpec):
    """The byte is Ethereum's, at some fork, or another custom opcode's."""

    byte: int
    name: str


class OpcodePriceOutOfRange(InvalidSpec):
    """A custom opcode's price that can't be charged."""

    name: str
    value: int
    maximum: int


# ---- transactions ---------------------------------------------------------------------------------------------------


class InvalidTransaction(ExeclayerError, ValueError):
    """Bytes that are no transaction, or one that nobody signed."""


class UnknownTransactionKind(InvalidTransaction):
    """The first byte names a kind that nobody knows."""

    kind: int


class MalformedTransaction(InvalidTransaction):
    """The bytes are not this kind's RLP."""

    reason: str


class SignatureOutOfRange(InvalidTransaction):
    """``r`` or ``s`` is zero or not below the curve's order."""


class SignatureWithoutKey(InvalidTransaction):
    """No key made this signature."""


class InvalidRecoveryId(InvalidTransaction):
    """A recovery identifier that is not 0 to 3, nor 27 to 30."""

    got: int


class TransactionRejected(ExeclayerError):
    """A transaction that may not stand in a block, or not wait for one."""


class KindNotEnabled(TransactionRejected):
    """This kind does not exist at this fork."""

    kind: int
    fork: str


class WrongChain(TransactionRejected):
    """Signed for another chain."""

    expected: int
    actual: int


class ProtectedTooEarly(TransactionRejected):
    """A legacy transaction with a chain id, before replay protection came."""

    fork: str


class HighSignature(TransactionRejected):
    """``s`` is in the upper half of the curve's order."""

    s: int


class RejectedInBlock(TransactionRejected):
    """A transaction, by its place, may not stand in the block that was asked for."""

    index: int
    reason: TransactionRejected


class SystemContractMissing(ExeclayerError):
    """From Prague on a block calls a contract that this chain does not have."""

    contract: str


class SystemCallFailed(ExeclayerError):
    """A contract that every block calls did not answer."""

    contract: str


class MalformedDeposit(ExeclayerError):
    """The deposit contract logged something that is no deposit."""

    data: bytes


class TransactionPanicked(InternalError):
    """A bug: executing a transaction panicked. Its block was given up, and the chain is as it was."""

    index: int
    message: str


class ExecutionDiverged(InternalError):
    """A bug: what several cores gave is not what one gives. Told only where it was asked for (``verify``).

    ``transaction`` is its place; None for what belongs to no transaction.
    """

    transaction: int | None
    field: str
    parallel: str
    sequential: str


class BlockGasExceeded(TransactionRejected):
    """It does not fit into what is left of the block."""

    required: int
    available: int


class GasLimitTooHigh(TransactionRejected):
    """More gas than any transaction may ask for."""

    limit: int
    max: int


class InsufficientGas(TransactionRejected):
    """The gas limit does not even pay for being a transaction."""

    required: int
    available: int


class InsufficientFloorGas(TransactionRejected):
    """The gas limit is below what the call data costs at least."""

    required: int
    available: int


class FeeTooLow(TransactionRejected):
    """The fee cap is below the block's base fee."""

    base_fee: int
    max_fee: int


class TipAboveFee(TransactionRejected):
    """The tip is above the fee cap."""

    tip: int
    max_fee: int


class InvalidNonce(TransactionRejected):
    """Not the sender's next nonce."""

    expected: int
    actual: int


class NonceTooLow(InvalidNonce):
    """The nonce was used by a transaction that is in a block."""


class NonceExhausted(TransactionRejected):
    """2**64 - 1: the sender can never send again."""


class InsufficientBalance(TransactionRejected):
    """The sender cannot pay value and the highest cost."""

    required: int
    available: int


class InsufficientFunds(InsufficientBalance):
    """The sender could not pay for all that it has waiting."""


class SenderHasCode(TransactionRejected):
    """Contracts don't sign transactions."""

    sender: str
    code_hash: str


class InitCodeTooLong(TransactionRejected):
    """Creation code above the limit."""

    length: int
    max: int


class NoBlobs(TransactionRejected):
    """A blob transaction without blobs."""


class TooManyBlobs(TransactionRejected):
    """More blobs than a transaction or the block may hold."""

    count: int
    max: int


class BlobVersion(TransactionRejected):
    """A blob hash of unknown version."""

    index: int
    version: int


class BlobFeeTooLow(TransactionRejected):
    """The blob fee cap is below the block's price."""

    base_fee: int
    max_fee: int


class CannotCreate(TransactionRejected):
    """This kind cannot create a contract."""

    kind: int


class NoAuthorizations(TransactionRejected):
    """A delegating transaction that delegates nothing."""


class AlreadyKnown(TransactionRejected):
    """It waits already."""

    hash: str


class StillWaiting(TransactionRejected):
    """It was taken but could not be in the next block: a nonce before it is missing, or it offers too little."""

    hash: str


class ReplacementUnderpriced(TransactionRejected):
    """Same sender and nonce as one that waits, without paying enough more."""

    required: int
    actual: int


class Oversized(TransactionRejected):
    """Too long."""

    actual: int
    limit: int


class SenderFull(TransactionRejected):
    """The sender has as many waiting as one may have."""

    sender: str
    limit: int


class PoolFull(TransactionRejected):
    """The pool is full of transactions that pay at least as much."""

    tip: int
    transactions: int


class SenderReserved(TransactionRejected):
    """A sender's waiting transactions all bring blobs, or none does."""

    sender: str
    blobs: bool


class BlobGap(TransactionRejected):
    """A blob transaction doesn't wait behind a gap."""

    expected: int
    actual: int


class ContractNotFound(TransactionRejected):
    """One of our own kinds names what is not there, as an asset that nobody has created. It waits for later blocks."""

    kind: int
    name: str


class ExecutionFailed(TransactionRejected):
    """It would fail, and is left out and tried again later: the chain was opened with ``presimulate``."""

    attempts: int


class TransactionFault(ExeclayerError):
    """Executing it met a fault of ours; it was set aside."""

    reason: str


class BatchOutOfMemory(ExeclayerError):
    """Alone it needs more memory than a batch may take."""

    used: int
    budget: int


class JournalUnwritable(ExeclayerError):
    """The pool's journal can't be read or written: what can't be kept isn't taken."""

    path: str
    action: str
    reason: str


# ---- chain and blocks ------------------------------------------------------------------------------------------------


class ChainClosed(ExeclayerError):
    """The chain was closed."""


class OtherGenesis(ExeclayerError, ValueError):
    """The folder holds a chain that begins with another block."""

    held: str
    given: str


class UnfinishedRestore(ExeclayerError):
    """The folder holds a part of a snapshot, whose restore did not come to its end."""

    block: str


class UnknownBlock(ExeclayerError, LookupError):
    """No such block is known."""

    block: str


class UnknownTransaction(ExeclayerError, LookupError):
    """No block holds this transaction."""

    hash: str


class UnknownAnchor(ExeclayerError, LookupError):
    """Not an anchor of this chain, or one that was undone or let go."""

    anchor: int


class TooManyAnchors(ExeclayerError):
    """So many anchors are set that no more are allowed."""

    limit: int


class HeaderMismatch(ExeclayerError):
    """A field of a header, or what belongs to it, is not what it has to be."""

    field: str
    expected: str
    actual: str


class GasExceeded(ExeclayerError):
    """There is no gas limit, up to this one, with which it would succeed."""

    allowance: int


class CallUnsuccessful(ExeclayerError):
    """With all the gas there is it reverts, or halts for a reason that more gas would not mend."""

    output: bytes


class InvalidOverride(ExeclayerError, ValueError):
    """Accounts that a call wants to be different in ways that contradict each other."""


class StateOverriddenTwice(InvalidOverride):
    """All of an account's storage and some of it at once."""

    address: str


class NoPrecompile(InvalidOverride):
    """Only a precompile can be moved."""

    address: str


class AlreadyOverridden(InvalidOverride):
    """A precompile was to go where another one went, or to an account that is overridden itself."""

    address: str


class CustomCodeFailed(ExeclayerError):
    """An opcode or precompile of the chain's own raised an error; the transaction has no outcome and changed nothing.

    ``cause`` is what the function raised, and the exception's ``__cause__`` too, so that a traceback shows both.
    """

    name: str
    cause: Any

    def __init__(self, message: str, /, **fields: Any) -> None:
        super().__init__(message, **fields)
        if isinstance(self.cause, BaseException):
            self.__cause__ = self.cause


class CannotListen(ExeclayerError, OSError):
    """The server can't have an address: somebody else has it, or it is none of this machine's."""

    address: str
    reason: str


class NameTaken(ExeclayerError, ValueError):
    """A method of this name is served already."""

    name: str


class ImportRefused(ExeclayerError):
    """A block that somebody else made and that can't be taken."""


class MalformedBlock(ImportRefused):
    """The bytes are no block."""

    reason: str


class UnknownParent(ImportRefused):
    """The block before it is not known."""

    block: str
    parent: str


class InvalidHeader(ImportRefused):
    """Its header, or what belongs to it, is not what it has to be."""

    block: str
    reason: HeaderMismatch


class InvalidSender(ImportRefused):
    """The signature of one of its transactions is nobody's."""

    block: str
    index: int
    reason: InvalidTransaction


class InvalidExecution(ImportRefused):
    """It can't be executed."""

    block: str
    reason: ExeclayerError


class StreamUnreadable(ImportRefused):
    """A stream of blocks can't be read or written."""

    reason: str


# ---- proofs ---------------------------------------------------------------------------------------------------------


class ProofInvalid(ExeclayerError, ValueError):
    """A proof proves nothing."""


class ProofHashMismatch(ProofInvalid):
    """A node is not the one that its parent, or the root, names."""

    index: int
    expected: str
    got: str


class ProofTooShort(ProofInvalid):
    """The key's path goes on below the last node."""

    nodes: int
    expected: str


class ProofTooLong(ProofInvalid):
    """The key's path ends before the last node."""

    nodes: int
    used: int


class ProofNodeInvalid(ProofInvalid):
    """A node with the right hash that no trie holds."""

    index: int
    reason: str


class ProofValueInvalid(ProofInvalid):
    """What is proven is not an account, slot or receipt."""

    reason: str


class ProofKeyTooLong(ProofInvalid):
    """Keys of tries have at most 32 bytes."""

    bytes: int


# ---- snapshots ------------------------------------------------------------------------------------------------------


class SnapshotRefused(ExeclayerError):
    """A snapshot can't be read, written or restored."""


class SnapshotMalformed(SnapshotRefused, ValueError):
    """The bytes are no snapshot from ``offset`` on."""

    offset: int
    reason: str


class SnapshotUnreadable(SnapshotRefused):
    """The file can't be read or written."""

    offset: int
    reason: str


class SnapshotPartTooLarge(SnapshotRefused):
    """A block or a contract's code is larger than a part of a snapshot may be."""

    bytes: int


class StoreNotEmpty(SnapshotRefused):
    """A snapshot is restored into an empty folder only."""


class SnapshotOfOtherChain(SnapshotRefused, ValueError):
    """The snapshot is of a chain that begins with another block."""

    expected: str
    found: str


class SnapshotOfOtherBlock(SnapshotRefused, ValueError):
    """The snapshot is of another block than the trusted one."""

    expected: str
    found: str


class SnapshotWithoutCode(SnapshotRefused, ValueError):
    """An account's code does not stand in the snapshot."""

    address: str
    code: str


class SnapshotStopped(SnapshotRefused):
    """Whoever watched the progress asked to stop."""


class Stopped(ExeclayerError):
    """Nobody waits for the answer any more. Who gave up sees their own ``KeyboardInterrupt`` or ``trio.Cancelled``."""


# ---- state and store ------------------------------------------------------------------------------------------------


class StateUnavailable(ExeclayerError):
    """The state can't be read."""


class StateUnreadable(StateUnavailable):
    """The place where the state lives failed."""

    reason: str


class StateMissing(StateUnavailable):
    """A state that is only partly here: the rest would have to be fetched."""


class CodeMissing(StateUnavailable):
    """An account names code that nobody holds."""

    hash: str


class StateNotKept(StateUnavailable):
    """The block is known, but not the state after it any more."""

    block: str
    oldest: int


class StoreError(ExeclayerError):
    """The store can't be opened or written."""


class StoreInUse(StoreError):
    """The folder is held by another process."""

    path: str
    pid: int


class StoreSchema(StoreError):
    """Written by another version of execlayer."""

    path: str
    found: int
    expected: int


class StoreFull(StoreError):
    """No room left; nothing was written."""

    path: str


class StoreReadOnly(StoreError):
    """Opened to read only."""


class StoreSetting(StoreError, ValueError):
    """A setting of the store that can't be."""

    name: str
    value: str
    expected: str


class StoreDamaged(StoreError):
    """What was read back is not what was written."""

    reason: str


class TrieDamaged(StoreError):
    """A node of the trie is missing, or is none."""


class TrieMismatch(StoreError):
    """The trie holds something else than the state beside it."""


class StoreIo(StoreError):
    """The system said no."""

    action: str
    path: str
    reason: str


# ---- orders ---------------------------------------------------------------------------------------------------------


class JournalError(ExeclayerError):
    """The journal of an order engine can't be used."""


class JournalIo(JournalError):
    """The system said no."""

    action: str
    path: str
    reason: str


class JournalDamaged(JournalError):
    """A record is damaged, and intact ones stand behind it."""

    path: str
    offset: int


class JournalForeign(JournalError):
    """A file belongs to another chain, or one before it is missing."""

    path: str
    chain_id: int
    first: int


class JournalMalformed(JournalError):
    """A record is not what its type says."""

    seq: int
    left: int


class JournalDiverged(JournalError):
    """A replay came to another decision than the one that was written."""

    seq: int
    expected: str
    actual: str


class JournalUnconfigured(JournalError):
    """A journal does not start with a configuration."""

    seq: int


class JournalRetired(JournalError):
    """The first records have gone with time, and there is no snapshot to go on from."""

    path: str
    first: int
    """The oldest record that is there."""


class SenderInUse(JournalError):
    """Another engine of this host uses a sender's key."""

    sender: str
    chain_id: int


class JournalStopped(JournalError):
    """It could not be written before, and the engine has stopped."""


class OrderNotFound(ExeclayerError, LookupError):
    """The engine keeps no order of this number."""

    order_id: int


class StateTransitionError(ExeclayerError):
    """An order can't take this step where it is, and stays there."""

    current: str
    attempted: str
    order_id: int


class KeystoreError(ExeclayerError, ValueError):
    """A keystore does not open."""


class KeystoreMalformed(KeystoreError):
    """It is none of version 3, or asks for more than any should."""

    reason: str


class KeystoreLocked(KeystoreError):
    """The password is another one, or the file was damaged."""


class FrameRefused(ExeclayerError, ValueError):
    """Bytes are no frame of the wire protocol: its code, and the byte where that was seen."""

    code: int
    offset: int


# ---- tools ----------------------------------------------------------------------------------------------------------


class FileUnreadable(ExeclayerError, OSError):
    """A file, folder or archive of tests can't be read."""

    path: str
    reason: str


class TestsStopped(ExeclayerError):
    """Not all tests ran: whoever waited wanted no more."""

    done: int


class NoThreads(ExeclayerError):
    """The machine gives no more threads."""

    jobs: int
    reason: str


class TransitionRefused(ExeclayerError, ValueError):
    """What a transition tool was given can't be used."""


class UnknownNetwork(TransitionRefused):
    """No fork has this name, nor a change of forks."""

    name: str


class EnvironmentIncomplete(TransitionRefused):
    """The environment leaves out a field that the fork needs."""

    field: str
    fork: str


class MalformedInput(TransitionRefused):
    """Accounts, environment or transactions are not what they should be."""

    input: str
    reason: str


class MalformedBody(TransitionRefused):
    """The body is not RLP of transactions."""

    reason: str


class BlockHashMissing(TransitionRefused):
    """BLOCKHASH asked for a hash that was not given."""

    number: int


class TraceUnwritable(ExeclayerError, OSError):
    """A trace can't be written."""

    reason: str
