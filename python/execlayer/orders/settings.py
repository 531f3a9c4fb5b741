"""What can be set about an order engine, as one frozen value: read once, checked once, handed down.

Later sources win: defaults, a TOML file, the environment. In the environment a setting is called by its path:
``EXECLAYER_ORDERS__LIMITS__MAX_CAPITAL`` is ``max_capital`` in the table ``limits``. Unknown names are refused wherever
they come from. Secrets stand in files that the settings name, never in the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    ByteSize,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from .. import _core
from ..config import Settings, read_settings
from ..upstream import Endpoint
from ..upstream.failover import Backoff
from ..upstream.heads import Watch as Heads
from .durations import Duration

PREFIX = "EXECLAYER_ORDERS__"
"""What the names of the engine's environment variables begin with."""

DEVELOPMENT_CHAINS = frozenset({1337, 31_337})
"""Where keys may lie in plain files."""

SECOND_NS = 10**9


def _address(text: str) -> str:
    digits = text.removeprefix("0x")
    if len(digits) != 40 or set(digits.lower()) - set("0123456789abcdef"):
        raise ValueError("an address has 20 bytes in hex")
    return text


def _hash(text: str) -> str:
    digits = text.removeprefix("0x")
    if len(digits) != 64 or set(digits.lower()) - set("0123456789abcdef"):
        raise ValueError("a hash has 32 bytes in hex")
    return text


def _fork(name: str) -> str:
    if name not in (names := _core.Spec.fork_names()):
        raise ValueError(f"a fork is one of {', '.join(names)}")
    return name


def _bump(text: str) -> str:
    over, _, under = text.partition("/")
    if not (over.isdecimal() and under.isdecimal() and 0 < int(under) < 2**32 and int(over) < 2**32):
        raise ValueError("a fraction is two whole numbers: 9/8")
    if int(over) * 10 < int(under) * 11:
        raise ValueError("pools ask for a tenth more: 11/10 is the least")
    return text


Address: TypeAlias = Annotated[str, AfterValidator(_address)]
Hash: TypeAlias = Annotated[str, AfterValidator(_hash)]
Wei: TypeAlias = Annotated[int, Field(ge=0, lt=2**64)]
Amount: TypeAlias = Annotated[int, Field(ge=0, lt=2**128)]


class Execution(Settings):
    """What is signed, and when it counts as settled."""

    max_concurrent_orders: int = Field(default=1000, ge=1, le=1_000_000)
    """Orders that are not settled; one more is refused unless it beats the least profitable one that is not signed."""

    default_gas_limit: int = Field(default=500_000, ge=21_000, le=16_777_216)
    """Where neither the signal nor a simulation says what gas is needed."""

    max_gas_price: Wei = 100 * 10**9
    """Highest fee for a unit of gas that is ever signed, in wei."""

    confirmation_blocks: int = Field(default=2, ge=0, le=100)
    """Blocks on top of an order's own until it counts as settled."""

    retry_attempts: int = Field(default=3, ge=0, le=100)
    """Replacements of an order's transaction, cancels aside."""

    signal_max_age_ms: int = Field(default=10_000, ge=1, le=30_000)
    """Older signals are refused; by their own time."""

    submission_deadline: Duration = 30 * SECOND_NS
    """An order that is not signed by then fails."""

    confirmation_deadline: Duration = 300 * SECOND_NS
    """An order that is not settled by then is taken back, where the chain lets it."""

    slippage_bps: int = Field(default=500, ge=0, le=10_000)
    """What may be missing of the expected profit on chain, where the signal does not say."""

    net_ratio_bps: int = Field(default=9500, ge=0, le=10_000)
    """What must be left of the expected profit after gas."""

    min_net_profit_wei: Wei = 1
    """The least that must be left at the highest fee with all gas burnt."""

    gas_buffer_pct: int = Field(default=20, ge=0, le=1000)
    """Added to gas that was estimated or simulated."""

    monitor_interval: Duration = SECOND_NS // 10
    """Between two looks at timers and the halt file."""

    metrics_interval: Duration = 10 * SECOND_NS
    """Between two looks at the alert rules."""

    retention: Duration = 3600 * SECOND_NS
    """How long an order that has ended is remembered."""

    retention_max: int = Field(default=100_000, ge=0, lt=2**32)
    """How many orders that have ended are remembered."""

    batch_max: int = Field(default=100, ge=1, le=10_000)
    """Signals of one connection that are taken at once, the most profitable first."""

    presim: Literal["off", "fallback", "always"] = "always"
    """Whether orders are tried before they are signed: ``fallback`` only where the signal's state is old."""

    conflict: Literal["simulate", "serialize", "ignore"] = "simulate"
    """What becomes of an order that shares a pool with a live one: tried after it, queued behind it, or nothing."""

    max_state_lag: NonNegativeInt = 1
    """Blocks that a signal's state may be behind the head without being tried."""

    slot: Duration = 12 * SECOND_NS
    """Between two blocks: trials run in the block that comes so long after the head. Whole seconds."""

    drain_timeout: Duration = 30 * SECOND_NS
    """How long orders that are out are watched when the engine ends."""


class Channels(Settings):
    """How much may wait inside."""

    signal: PositiveInt = 10_000
    """Signals that wait to be looked at. One more, and those that have expired are dropped, then the least profitable;
    each is told so."""

    execution: PositiveInt = 1000
    """Results that nobody has taken; above it no signal is taken."""

    monitoring: PositiveInt = 100
    """Alerts that wait for whoever is told."""


class Submission(Settings):
    """Which way transactions go."""

    type: Literal["hybrid", "public", "private"] = "hybrid"
    """Builders first and then the public, only the public, or only builders; a signal may say otherwise."""

    private_timeout: Duration = SECOND_NS
    """How long a relay has to acknowledge."""

    private_max_blocks: int = Field(default=3, ge=1, le=25)
    """Blocks that a bundle may land in."""

    fallback_gas_multiplier: float = Field(default=1.1, ge=1, le=10)
    """By how much fees rise when an order goes public after all."""

    fallback_public: bool = True
    """Whether a hybrid order goes public when no builder takes it."""

    fanout: int = Field(default=2, ge=1, le=100)
    """Nodes that a transaction is sent to at once."""


class Replacement(Settings):
    """When a transaction that waits is made faster."""

    bump: Annotated[str, AfterValidator(_bump)] = "9/8"
    """What a replacement offers, on both fees, of what it replaces: a fraction, at least 11/10, which pools ask for."""

    price_trigger_pct: int = Field(default=150, ge=100, le=10_000)
    """Of the price that a transaction offers; above it the market has left it behind."""

    after_blocks: int = Field(default=2, ge=1, le=1000)
    """Blocks that a transaction waits before it is made faster."""


class Rpc(Settings):
    """Public nodes: tried in this order."""

    primary: Endpoint
    """Asked first."""

    secondary: Endpoint | None = None
    """Asked when the first is not fit."""

    fallback: Endpoint | None = None
    """Asked last."""

    backoff: Backoff = Backoff()
    heads: Heads = Heads()
    """How closely the head is followed."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that are set."""
        return tuple(one for one in (self.primary, self.secondary, self.fallback) if one is not None)

    @model_validator(mode="after")
    def _named_apart(self) -> Rpc:
        names = [one.name for one in self.endpoints]
        if len(set(names)) != len(names):
            raise ValueError(f"endpoints need names of their own: {', '.join(names)}")
        return self


Dialect: TypeAlias = Literal["flashbots", "replacing", "transaction"]


class Relay(Endpoint):
    """A builder's door."""

    dialect: Dialect | None = None
    """By default as ``mev_protection.builder`` says."""

    requests_per_second: PositiveFloat = 100.0
    """What the relay allows. What is beyond it waits for up to ``private_timeout`` and is then not sent: an order that
    no other relay has goes public, where it may."""


class Mev(Settings):
    """Private builders."""

    enabled: bool = True
    """Whether relays are asked at all."""

    builder: Dialect = "flashbots"
    """How relays are spoken to that have no dialect of their own."""

    builders: tuple[str, ...] = ()
    """Builders that a relay may hand bundles to; without names as the relay likes."""

    relays: tuple[Relay, ...] = ()
    """Builders' doors, each with a ``dialect`` of its own where it has another one: ``flashbots`` (bundles, taken back
    by ``eth_cancelBundle``), ``replacing`` (bundles, taken back by an empty one of the same name) or ``transaction``
    (single private transactions). ``requests_per_second`` (100) is what a relay allows; what is beyond it waits for up
    to ``private_timeout`` and is then not sent."""

    identity_key: Path | None = None
    """A file with the key that signs requests to relays; it must not be a sender's."""

    min_priority_fee: Wei = 10**9
    """The least tip that is offered, in wei."""


class RemoteKey(Settings):
    """A sender's key at a signer that speaks Web3Signer's HTTP API."""

    kind: Literal["remote"]

    address: Address
    """The sender."""

    signer: Endpoint
    """Where it is; its time limit and headers (such as credentials) are those of any endpoint."""

    identifier: Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]+$")] | None = None
    """What the signer calls the key; by default the sender's public key, as it lists it."""

    @model_validator(mode="after")
    def _posts(self) -> RemoteKey:
        if self.signer.scheme not in ("http", "https"):
            raise ValueError(f"a signer is not spoken to over {self.signer.scheme}")
        return self


class ModuleKey(Settings):
    """A sender's key in a module of hardware (PKCS#11); wants ``pip install execlayer[hsm]``."""

    kind: Literal["pkcs11"]

    address: Address
    """The sender."""

    module: str
    """The library that its maker gives, such as ``/usr/lib/softhsm/libsofthsm2.so``."""

    token: str
    """The token's label."""

    label: str
    """The label of the key, a private one on curve secp256k1."""

    pin_file: Path | None = None
    """A file with the user's PIN."""

    pin_variable: str | None = None
    """A variable of the environment with the user's PIN, where no file has it."""

    timeout: Duration = 2 * SECOND_NS
    """How long a signature may take."""

    @model_validator(mode="after")
    def _one_pin(self) -> ModuleKey:
        if (self.pin_file is None) == (self.pin_variable is None):
            raise ValueError("the PIN is in a file or in a variable of the environment")
        return self


def _kind(key: object) -> str | None:
    """A file's path stands for itself; whatever is not here says what it is."""
    if isinstance(key, str | Path):
        return "file"
    return key.get("kind") if isinstance(key, dict) else getattr(key, "kind", None)


Key: TypeAlias = Annotated[
    Annotated[Path, Tag("file")] | Annotated[RemoteKey, Tag("remote")] | Annotated[ModuleKey, Tag("pkcs11")],
    Discriminator(_kind),
]


class Senders(Settings):
    """Who signs."""

    keys: tuple[Key, ...] = ()
    """Files with a key each, in hex (development chains only), or keystores (version 3); and tables for keys that stay
    where they are, of ``kind`` ``remote`` or ``pkcs11``."""

    password_file: Path | None = None
    """Opens the keystores."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Those keys that are read."""
        return tuple(key for key in self.keys if isinstance(key, Path))

    @property
    def pin_files(self) -> tuple[Path, ...]:
        """What opens modules."""
        modules = (key for key in self.keys if isinstance(key, ModuleKey))
        return tuple(key.pin_file for key in modules if key.pin_file is not None)

    lane_depth: int = Field(default=16, ge=1, le=10_000)
    """Unsettled transactions of a sender; nodes promise 16."""

    gap_fill: Duration = SECOND_NS // 4
    """How long a missing nonce may hold up later ones before it is filled."""

    private_sharing: int = Field(default=1, ge=1, le=100)
    """Private orders that may be signed for one nonce, of which one can land."""


class Limits(Settings):
    """Where it stops. What isn't set is not limited."""

    max_order_value: Amount = 2**128 - 1
    """Wei that one order may be expected to make: more is taken for an error."""

    max_capital: Amount = 2**128 - 1
    """In the smallest unit of what is borrowed."""

    max_gas_per_hour: int = Field(default=2**64 - 1, ge=0, lt=2**64)
    """Gas that may be burnt."""

    max_loss_per_hour: Amount = 2**128 - 1
    """Wei that may be lost."""

    max_failures_in_row: int = Field(default=20, ge=1, lt=2**32)
    """So many orders that were sent and failed, one after the other, halt the engine."""

    halt_file: Path | None = None
    """While this file is there, no new order is taken."""


class Journal(Settings):
    """What is kept on disk."""

    dir: Path
    """A folder of its own."""

    locks: Path | None = None
    """The same folder for all engines of a host; by default beside the journal."""

    durability: Literal["process", "power"] = "process"
    """What a broadcast survives: the end of the process, or of power."""

    segment: Annotated[ByteSize, Field(ge=2**16, lt=2**40)] = ByteSize(64 * 2**20)
    """Size of a file of records: a full one is followed by the next."""

    snapshot: Duration = 60 * SECOND_NS
    """Between two snapshots."""

    backup_dir: Path | None = None
    """A folder on another disk, for copies."""

    backup_every: Duration = 300 * SECOND_NS
    """Between two copies."""

    backup_command: tuple[str, ...] = ()
    """A program that is told of each file that is new or has grown, as JSON on its standard input: it may copy it to
    another machine."""

    retain: Duration = 30 * 86_400 * SECOND_NS
    """Records that are older may go, where no snapshot needs them."""

    retain_bytes: ByteSize = ByteSize(50 * 10**9)
    """The oldest records go when there are more; never those that a start needs."""

    @property
    def lock_folder(self) -> Path:
        """Where senders' locks lie."""
        return self.locks or self.dir.parent / "locks"


class Protocol(Settings):
    """How signals come and results go."""

    listen: str = "127.0.0.1:9545"
    """``host:port``, or the path of a UNIX socket."""

    control: Path | None = None
    """A UNIX socket for ``execlayer orders status`` and others; by default ``control`` in the journal's folder."""

    metrics: str | None = None
    """``host:port`` of the Prometheus page."""

    require_auth: bool = True
    """Whether sources that are not on this machine have to sign their frames."""

    hmac_keys: dict[int, Path] = Field(default={})
    """Files with the secrets that they sign with, by number."""

    max_frame: int = Field(default=65_536, ge=40, le=65_536)
    """Bytes of a frame; whoever sends a longer one is refused."""

    connections_max: int = Field(default=1000, ge=1, le=100_000)
    """Connections of sources and consumers at once."""


class People(Settings):
    """Who is told of alerts, beside the log."""

    command: tuple[str, ...] = ()
    """A program that gets each alert as JSON on its standard input: it may mail, page or post it."""

    webhook: Endpoint | None = None
    """An address that each alert is posted to, as JSON."""

    rules: Path | None = None
    """When to tell, in the form of the file that ships (``alerts.toml``), which this one stands in for."""

    timeout: Duration = 10 * SECOND_NS
    """How long each of them has to take an alert."""

    @model_validator(mode="after")
    def _posts(self) -> People:
        if self.webhook is not None and self.webhook.scheme not in ("http", "https"):
            raise ValueError(f"an alert can't be posted over {self.webhook.scheme}")
        return self


class OrderSettings(Settings):
    """An order engine."""

    environment: Literal["development", "staging", "production"] = "development"
    """Which of the files this is."""

    chain_id: int = Field(ge=1, lt=2**63)
    """The chain; nodes of another one are not asked."""

    fork: Annotated[str, AfterValidator(_fork)] | None = None
    """The rules that the chain follows; Ethereum's own for chain 1, else the newest."""

    contract: Address
    """The arbitrage contract."""

    contract_code_hash: Hash | None = None
    """What the contract's code must hash to."""

    genesis_hash: Hash | None = None
    """What the chain's first block must hash to."""

    recipient: Address
    """Who gets profits."""

    engine_id: Hash | None = None
    """Names this engine in references on chain."""

    source_id: int = Field(default=0, ge=0, lt=2**32)
    """Names this engine as a source of frames."""

    allowed: tuple[Address, ...] = ()
    """Addresses that signals may name; all of them when empty."""

    prices: dict[Address, Amount] = Field(default={})
    """Tokens with the wei that 10^18 of their smallest unit are worth."""

    execution_engine: Execution = Execution()
    channels: Channels = Channels()
    submission_strategy: Submission = Submission()
    replacement: Replacement = Replacement()
    rpc_endpoints: Rpc
    mev_protection: Mev = Mev()
    senders: Senders = Senders()
    limits: Limits = Limits()
    journal: Journal
    protocol: Protocol = Protocol()
    alerts: People = People()

    @property
    def relays(self) -> tuple[Relay, ...]:
        """Builders that are asked."""
        return self.mev_protection.relays if self.mev_protection.enabled else ()

    @property
    def control(self) -> Path:
        """Where a running engine is asked."""
        return self.protocol.control or self.journal.dir / "control"

    def core_settings(self) -> dict[str, Any]:
        """The core's part, by its names: times in nanoseconds, shares in basis points."""
        execution, submission = self.execution_engine, self.submission_strategy
        same = (
            "max_concurrent_orders default_gas_limit max_gas_price confirmation_blocks retry_attempts slippage_bps "
            "net_ratio_bps min_net_profit_wei gas_buffer_pct max_state_lag retention_max presim conflict"
        )
        limits = self.limits
        return {
            **{name: getattr(execution, name) for name in same.split()},
            "source_id": self.source_id,
            "signal_max_age_ns": execution.signal_max_age_ms * 10**6,
            "submission_deadline_ns": execution.submission_deadline,
            "confirmation_deadline_ns": execution.confirmation_deadline,
            "retention_ns": execution.retention,
            "channel": submission.type,
            "private_timeout_ns": submission.private_timeout,
            "private_max_blocks": submission.private_max_blocks,
            "fallback_gas_bps": round(submission.fallback_gas_multiplier * 10_000),
            "fallback_public": submission.fallback_public,
            "fanout": submission.fanout,
            "min_priority_fee": self.mev_protection.min_priority_fee,
            "builders": list(self.mev_protection.builders),
            "bump": tuple(int(part) for part in self.replacement.bump.split("/")),
            "price_trigger_pct": self.replacement.price_trigger_pct,
            "after_blocks": self.replacement.after_blocks,
            "lane_depth": self.senders.lane_depth,
            "private_sharing": self.senders.private_sharing,
            "gap_fill_ns": self.senders.gap_fill,
            "max_order_value_wei": limits.max_order_value,
            "max_capital": limits.max_capital,
            "max_gas_per_hour": limits.max_gas_per_hour,
            "max_loss_per_hour_wei": limits.max_loss_per_hour,
            "max_failures_in_row": limits.max_failures_in_row,
            "max_results": self.channels.execution,
            "require_auth": self.protocol.require_auth,
        }

    def core_terms(self) -> dict[str, Any]:
        """What the core is told of money and limits, and may be told anew."""
        return {"settings": self.core_settings(), "prices": dict(self.prices)}


def load(path: Path, *, environ: Mapping[str, str] | None = None) -> OrderSettings:
    """Reads the settings; relative paths in them are seen from the file's folder.

    *Errors*: :class:`~execlayer.errors.InvalidConfig` with the path of the setting, what was found and why it can't be
    used.
    """
    settings = read_settings(OrderSettings, path, environ=environ, prefix=PREFIX)
    return _beside(settings, path.parent)


def _beside(settings: OrderSettings, folder: Path) -> OrderSettings:
    def at(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def key_at(key: Key) -> Key:
        if isinstance(key, ModuleKey):
            return key.model_copy(update={"pin_file": at(key.pin_file)})
        return folder / key if isinstance(key, Path) else key

    journal, senders, mev, protocol = settings.journal, settings.senders, settings.mev_protection, settings.protocol
    changes: dict[str, Any] = {
        "journal": journal.model_copy(
            update={"dir": at(journal.dir), "locks": at(journal.locks), "backup_dir": at(journal.backup_dir)}
        ),
        "senders": senders.model_copy(
            update={"keys": tuple(key_at(key) for key in senders.keys), "password_file": at(senders.password_file)}
        ),
        "mev_protection": mev.model_copy(update={"identity_key": at(mev.identity_key)}),
        "limits": settings.limits.model_copy(update={"halt_file": at(settings.limits.halt_file)}),
        "alerts": settings.alerts.model_copy(update={"rules": at(settings.alerts.rules)}),
        "protocol": protocol.model_copy(
            update={
                "control": at(protocol.control),
                "hmac_keys": {number: folder / key for number, key in protocol.hmac_keys.items()},
            }
        ),
    }
    return settings.model_copy(update=changes)
