"""What makes an engine safe to run with money, looked at one by one: each finding says whether it holds, and why.

Settings, files and this installation are looked at here; what the chain says, in :func:`on_chain`, and whether signers
outside sign, in :func:`at_signers`.
"""

from __future__ import annotations

import hashlib
import stat
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from random import Random

import trio

from .. import _core
from ..artifacts import Artifact, artifact
from ..config import LOOPBACK
from ..errors import ExeclayerError
from ..upstream import Client, Endpoint, UpstreamError
from ..upstream.messages import Malformed, parse
from .keys import auth_keys, relay_identity, sender_keys
from .rules import read_rules
from .settings import DEVELOPMENT_CHAINS, Limits, OrderSettings, RemoteKey
from .signers import OutsideSigner, outside_signers, proved
from .wire import FrameRefused, Header, decode, heartbeat

CHUNK_BYTES = 1 << 20
SECRET_CHARS_MIN = 8
"""Shorter texts are found everywhere."""

DAMAGED = 2_000
"""Inputs that each decoder is given."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    holds: bool
    text: str


def _keys(settings: OrderSettings) -> tuple[bool, str]:
    try:
        senders = sender_keys(settings)
        identity = relay_identity(settings)
    except ExeclayerError as error:
        return False, str(error)
    outside = [one.sender for one in outside_signers(settings)]
    if identity is not None and identity.address.lower() in {one.lower() for one in addresses(settings, senders)}:
        return False, "the relays' identity is a sender: it must own nothing"
    kind = "plain files, as is right for development only" if settings.chain_id in DEVELOPMENT_CHAINS else "keystores"
    inside = f"{len(senders)} senders, in {kind}" if senders or not outside else ""
    return True, "; ".join(one for one in (inside, f"{len(outside)} at signers outside" if outside else "") if one)


def addresses(settings: OrderSettings, keys: Sequence[_core.Key]) -> list[str]:
    """All senders."""
    return [*(one.address for one in keys), *(one.sender for one in outside_signers(settings))]


def _files(settings: OrderSettings) -> tuple[bool, str]:
    paths = [*settings.senders.files, *settings.senders.pin_files, *settings.protocol.hmac_keys.values()]
    paths += [path for path in (settings.senders.password_file, settings.mev_protection.identity_key) if path]
    loose = [str(path) for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    return not loose, f"others can read {', '.join(loose)}" if loose else "only this user can read the secrets"


def _encrypted(settings: OrderSettings) -> tuple[bool, str]:
    ways = [*settings.rpc_endpoints.endpoints, *settings.relays, *_signers(settings)]
    plain = [one.name for one in ways if one.scheme in ("http", "ws") and one.host not in LOOPBACK]
    if plain:
        return False, f"not encrypted: {', '.join(plain)}"
    pinned = sum(one.certificate_sha256 is not None for one in ways)
    return True, f"every way off this machine is encrypted and its certificate checked, {pinned} pinned"


def _signers(settings: OrderSettings) -> list[Endpoint]:
    return [key.signer for key in settings.senders.keys if isinstance(key, RemoteKey)]


def _several(settings: OrderSettings) -> tuple[bool, str]:
    count = len(settings.rpc_endpoints.endpoints)
    return count > 1, f"{count} node{'s' if count > 1 else ': with one, nobody contradicts it'}"


def _contract(settings: OrderSettings) -> tuple[bool, str]:
    if settings.contract_code_hash is None or settings.genesis_hash is None:
        return False, "set contract_code_hash and genesis_hash"
    if settings.contract_code_hash.lower() != "0x" + shipped().code_hash.hex():
        return (
            True,
            "code and genesis are pinned; the contract is not the one that ships: its guards are yours to prove",
        )
    return True, "code and genesis are pinned, and the code is the one that ships, whose guards are tested"


def shipped() -> Artifact:
    """The contract that comes with this package: operators, callbacks, approvals, profit, deadline, rescue and
    reentrancy are what its tests are about."""
    return artifact("Arbitrageur")


def _addresses(settings: OrderSettings) -> tuple[bool, str]:
    count = len(settings.allowed)
    return count > 0, f"{count} addresses allowed" if count else "signals may name any address: set allowed"


def _limits(settings: OrderSettings) -> tuple[bool, str]:
    free = Limits()
    names = ("max_order_value", "max_capital", "max_gas_per_hour", "max_loss_per_hour")
    open_ended = [name for name in names if getattr(settings.limits, name) == getattr(free, name)]
    return not open_ended, f"not limited: {', '.join(open_ended)}" if open_ended else "value, capital, gas and loss"


def _sources(settings: OrderSettings) -> tuple[bool, str]:
    host = settings.protocol.listen.rpartition(":")[0]
    if host in LOOPBACK or "/" in settings.protocol.listen:
        return True, "only this machine can send signals"
    try:
        known = len(auth_keys(settings))
    except ExeclayerError as error:
        return False, str(error)
    good = settings.protocol.require_auth and known > 0
    return good, f"{known} keys for sources" if good else "signals from other machines have to be signed"


def _backup(settings: OrderSettings) -> tuple[bool, str]:
    target = settings.journal.backup_dir
    if target is None:
        return False, "set journal.backup_dir to a folder on another disk"
    same = _device(target) == _device(settings.journal.dir)
    return not same, "the copies lie on the journal's own disk" if same else f"copies in {target}"


def _halt(settings: OrderSettings) -> tuple[bool, str]:
    path = settings.limits.halt_file
    return path is not None, f"{path} halts it" if path is not None else "set limits.halt_file"


def _alerts(settings: OrderSettings) -> tuple[bool, str]:
    try:
        rules = read_rules(settings.alerts.rules)
    except ExeclayerError as error:
        return False, str(error)
    someone = bool(settings.alerts.command) or settings.alerts.webhook is not None
    if not someone or not rules.rule:
        return False, "nobody is told: set alerts.command or alerts.webhook, and have rules"
    return True, f"{len(rules.rule)} rules and {len(rules.event)} events are told"


def secrets(settings: OrderSettings) -> set[bytes]:
    """Everything that must not be written anywhere, as it might be written. Keys in keystores are not among them:
    nobody but the core ever has those."""
    texts: set[str] = set()
    endpoints = [*settings.rpc_endpoints.endpoints, *settings.relays, *_signers(settings)]
    if settings.alerts.webhook is not None:
        endpoints.append(settings.alerts.webhook)
    for one in endpoints:
        if one.scheme != "ipc":
            texts |= {*one.headers.values(), one.target.lstrip("/"), one.url.partition("@")[0].rpartition("/")[2]}
            texts -= {one.authority, ""}
    files = [*settings.senders.files, *settings.senders.pin_files, *settings.protocol.hmac_keys.values()]
    files += [path for path in (settings.senders.password_file, settings.mev_protection.identity_key) if path]
    found: set[bytes] = set()
    for path in files:
        held = path.read_text().strip() if path.exists() else ""
        if not held.startswith("{"):
            texts.add(held.removeprefix("0x"))
    for text in texts:
        if len(text) >= SECRET_CHARS_MIN:
            found.add(text.encode())
            try:
                found.add(bytes.fromhex(text))
            except ValueError:
                continue
    return found


def _secrets(settings: OrderSettings) -> tuple[bool, str]:
    wanted = secrets(settings)
    folders = [one for one in (settings.journal.dir, settings.journal.backup_dir) if one is not None and one.is_dir()]
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    loose = [str(path) for path in files if _holds_any(path, wanted)]
    if loose:
        return False, f"secrets stand in {', '.join(loose)}"
    return True, f"none of {len(wanted)} secrets stands in {len(files)} files of the journal and its copy"


def _holds_any(path: Path, wanted: set[bytes]) -> bool:
    """Whether a file has one of these in it, wherever pieces of it end."""
    overlap = max((len(one) for one in wanted), default=1) - 1
    with path.open("rb") as file:
        held = b""
        while data := file.read(CHUNK_BYTES):
            held = held[-overlap:] + data if overlap else data
            if any(one in held for one in wanted):
                return True
    return False


def _dependencies(_: OrderSettings) -> tuple[bool, str]:
    needed = [one.split(";") for one in metadata.requires("execlayer") or []]
    names = [words[0] for words in needed if "extra" not in "".join(words[1:])]
    changed, count = [], 0
    for name in names:
        distribution = metadata.distribution(_bare(name))
        for file in distribution.files or []:
            if file.hash is None or file.hash.mode != "sha256":
                continue
            count += 1
            path = Path(str(file.locate()))
            digest = hashlib.sha256(path.read_bytes()).digest() if path.exists() else b""
            if urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                changed.append(str(path))
    if changed:
        return False, f"not as they were installed: {', '.join(changed[:3])}"
    return True, f"{count} files of {len(names)} packages are as they were installed"


def _bare(requirement: str) -> str:
    """The name of a package, without its versions."""
    end = next((place for place, char in enumerate(requirement) if char in "<>=!~[ ("), len(requirement))
    return requirement[:end]


def _decoders(_: OrderSettings) -> tuple[bool, str]:
    random = Random(1)
    key = _core.Key(b"\1" * 32)
    signed = key.sign_transaction(
        chain_id=1, nonce=0, gas_limit=21_000, to=key.address, value=0, data=b"", max_fee_per_gas=1,
        max_priority_fee_per_gas=1,
    )  # fmt: skip
    frame = heartbeat(Header(sequence=1, sent_unix_ns=0, source_id=1), None)
    contract = shipped()
    revert = contract.call("setOperator", key.address, True)
    inputs: dict[str, tuple[bytes, Callable[[bytes], object], tuple[type[Exception], ...]]] = {
        "frames": (frame, decode, (FrameRefused,)),
        "transactions": (signed, _core.Transaction.decode, (ExeclayerError,)),
        "JSON": (b'{"jsonrpc":"2.0","id":1,"result":"0x1"}', parse, (Malformed,)),
        "reverts": (revert, contract.error, (ExeclayerError, ValueError)),
    }
    for name, (sound, read, refused) in inputs.items():
        for _turn in range(DAMAGED):
            damaged = bytearray(sound)
            for _place in range(random.randint(1, 4)):
                damaged[random.randrange(len(damaged))] = random.randrange(256)
            try:
                read(bytes(damaged[: random.randint(0, len(damaged))]))
            except refused:
                continue
            except Exception as error:
                return False, f"{name}: {damaged.hex()} ends in {error!r}"
    return True, f"{DAMAGED:,} damaged inputs to each of {len(inputs)} decoders were refused, or read"


def _device(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat().st_dev


CHECKS: dict[str, Callable[[OrderSettings], tuple[bool, str]]] = {
    "keys": _keys,
    "files": _files,
    "encryption": _encrypted,
    "nodes": _several,
    "contract": _contract,
    "addresses": _addresses,
    "limits": _limits,
    "sources": _sources,
    "halt": _halt,
    "secrets": _secrets,
    "alerts": _alerts,
    "backup": _backup,
    "dependencies": _dependencies,
    "decoders": _decoders,
}


async def on_chain(settings: OrderSettings) -> Finding:
    """Whether every node serves the chain and the contract that are pinned, and the contract takes orders from each
    sender."""
    try:
        senders = addresses(settings, sender_keys(settings))
    except ExeclayerError as error:
        return Finding("chain", False, str(error))
    wrong: list[str] = []

    async def look(endpoint: Endpoint) -> None:
        async with trio.open_nursery() as nursery:
            client = await nursery.start(Client(endpoint).run)
            try:
                wrong.extend([f"{endpoint.name}: {text}" async for text in _differences(settings, senders, client)])
            except (UpstreamError, TypeError, KeyError, ValueError) as error:
                wrong.append(f"{endpoint.name}: {error}")
            nursery.cancel_scope.cancel()

    endpoints = settings.rpc_endpoints.endpoints
    async with trio.open_nursery() as nursery:
        for endpoint in endpoints:
            nursery.start_soon(look, endpoint)
    if wrong:
        return Finding("chain", False, "; ".join(sorted(wrong)))
    return Finding(
        "chain", True, f"{len(endpoints)} nodes show the contract, which takes orders of {len(senders)} senders"
    )


async def at_signers(settings: OrderSettings) -> Finding:
    """Whether every signer outside signs, and with the key of its sender."""
    wrong: list[str] = []
    signers = outside_signers(settings)

    async def look(signer: OutsideSigner) -> None:
        try:
            await proved(signer)
        except ExeclayerError as error:
            wrong.append(str(error))

    async with trio.open_nursery() as nursery:
        for signer in signers:
            nursery.start_soon(look, signer)
    if wrong:
        return Finding("signers", False, "; ".join(sorted(wrong)))
    return Finding("signers", True, f"{len(signers)} signers outside sign with their senders' keys")


async def _differences(settings: OrderSettings, senders: list[str], client: Client) -> AsyncIterator[str]:
    """What one node shows otherwise."""
    contract = shipped()
    asks = [{"to": settings.contract, "data": "0x" + contract.call("operators", sender).hex()} for sender in senders]
    chain, genesis, code, *operators = await client.batch(
        [
            ("eth_chainId", ()),
            ("eth_getBlockByNumber", ("0x0", False)),
            ("eth_getCode", (settings.contract, "latest")),
            *[("eth_call", (one, "latest")) for one in asks],
        ]
    )
    if int(chain, 16) != settings.chain_id:
        yield f"chain {int(chain, 16)}"
    if settings.genesis_hash is not None and genesis["hash"].lower() != settings.genesis_hash.lower():
        yield f"genesis {genesis['hash']}"
    found = "0x" + _core.keccak256(bytes.fromhex(code[2:])).hex()
    if code == "0x" or (settings.contract_code_hash or found).lower() != found:
        yield "another contract, or none"
        return
    for sender, answer in zip(senders, operators, strict=True):
        if not isinstance(answer, str) or not contract.read("operators", bytes.fromhex(answer[2:])):
            yield f"{sender} is no operator"


def findings(settings: OrderSettings) -> Iterator[Finding]:
    """All that need no chain."""
    for name, check in CHECKS.items():
        holds, text = check(settings)
        yield Finding(name, holds, text)
