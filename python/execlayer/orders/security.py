"""What makes an engine safe to run with money, looked at one by one: each finding says whether it holds, and why."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..config import LOOPBACK
from ..errors import ExeclayerError
from .keys import auth_keys, relay_identity, sender_keys
from .settings import DEVELOPMENT_CHAINS, Limits, OrderSettings


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
    if identity is not None and identity.address in {one.address for one in senders}:
        return False, "the relays' identity is a sender: it must own nothing"
    kind = "plain files, as is right for development only" if settings.chain_id in DEVELOPMENT_CHAINS else "keystores"
    return True, f"{len(senders)} senders, in {kind}"


def _files(settings: OrderSettings) -> tuple[bool, str]:
    paths = [*settings.senders.keys, *settings.protocol.hmac_keys.values()]
    paths += [path for path in (settings.senders.password_file, settings.mev_protection.identity_key) if path]
    loose = [str(path) for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    return not loose, f"others can read {', '.join(loose)}" if loose else "only this user can read the secrets"


def _encrypted(settings: OrderSettings) -> tuple[bool, str]:
    plain = [
        one.name
        for one in (*settings.rpc_endpoints.endpoints, *settings.relays)
        if one.scheme in ("http", "ws") and one.host not in LOOPBACK
    ]
    return not plain, f"not encrypted: {', '.join(plain)}" if plain else "every way off this machine is encrypted"


def _several(settings: OrderSettings) -> tuple[bool, str]:
    count = len(settings.rpc_endpoints.endpoints)
    return count > 1, f"{count} node{'s' if count > 1 else ': with one, nobody contradicts it'}"


def _contract(settings: OrderSettings) -> tuple[bool, str]:
    pinned = settings.contract_code_hash is not None and settings.genesis_hash is not None
    return pinned, "code and genesis are pinned" if pinned else "set contract_code_hash and genesis_hash"


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
    "backup": _backup,
}


def findings(settings: OrderSettings) -> Iterator[Finding]:
    """All of them."""
    for name, check in CHECKS.items():
        holds, text = check(settings)
        yield Finding(name, holds, text)
