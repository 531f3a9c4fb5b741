"""Senders' keys from where they lie: keystores (version 3), and on development chains plain files. Those that stay
elsewhere are asked by :mod:`.signers`.

A plain key on a chain where money is real is refused: whoever reads the disk would own it.
"""

from __future__ import annotations

import os
from pathlib import Path

from .. import _core
from ..errors import ExeclayerError, KeystoreError, KeystoreLocked
from .settings import DEVELOPMENT_CHAINS, ModuleKey, OrderSettings
from .wire import AuthKey

SECRET_BYTES_MIN = 16
"""Shorter ones could be guessed."""


class KeyUnreadable(ExeclayerError, ValueError):
    """A file holds no key that can be used; which is never told."""

    path: str
    reason: str


def _unreadable(path: Path, reason: str) -> KeyUnreadable:
    return KeyUnreadable(f"no key in {path}: {reason}", path=str(path), reason=reason)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error


def sender_keys(settings: OrderSettings) -> list[_core.Key]:
    """The keys of all senders whose keys can be read. *Errors*: :class:`KeyUnreadable`."""
    senders = settings.senders
    if not senders.keys:
        raise KeyUnreadable("setting senders.keys names no key", path="", reason="no key is named")
    password = _text(senders.password_file) if senders.password_file is not None else None
    return [read_key(path, chain_id=settings.chain_id, password=password) for path in senders.files]


def pin(key: ModuleKey) -> str:
    """What opens a module. *Errors*: :class:`KeyUnreadable`."""
    if key.pin_file is not None:
        return _text(key.pin_file)
    try:
        return os.environ[str(key.pin_variable)]
    except KeyError:
        path = Path(f"${key.pin_variable}")
        raise _unreadable(path, "there is no such variable in the environment") from None


def relay_identity(settings: OrderSettings) -> _core.Key | None:
    """The key that signs requests to relays. It is worth nothing, so it may lie in a plain file."""
    path = settings.mev_protection.identity_key
    return None if path is None else _plain(path)


def auth_keys(settings: OrderSettings) -> list[AuthKey]:
    """The secrets that sources sign with, in hex. *Errors*: :class:`KeyUnreadable`."""
    found = []
    for number, path in settings.protocol.hmac_keys.items():
        try:
            secret = bytes.fromhex(_text(path).removeprefix("0x"))
        except ValueError:
            raise _unreadable(path, "a secret in hex is wanted") from None
        if len(secret) < SECRET_BYTES_MIN:
            raise _unreadable(path, f"a secret has at least {SECRET_BYTES_MIN} bytes")
        found.append(AuthKey(number, secret))
    return found


def read_key(path: Path, *, chain_id: int, password: str | None = None) -> _core.Key:
    """A key from a keystore, or from a plain file where the chain is a development one. *Errors*:
    :class:`KeyUnreadable`."""
    if _text(path).startswith("{"):
        if password is None:
            raise _unreadable(path, "a keystore needs senders.password_file")
        return _keystore(path, password)
    if chain_id not in DEVELOPMENT_CHAINS:
        raise _unreadable(path, f"a plain key is no way to keep money on chain {chain_id}: use a keystore")
    return _plain(path)


def _plain(path: Path) -> _core.Key:
    try:
        return _core.Key(bytes.fromhex(_text(path).removeprefix("0x")))
    except (ValueError, ExeclayerError):
        raise _unreadable(path, "32 bytes in hex are wanted") from None


def _keystore(path: Path, password: str) -> _core.Key:
    """The key stays in Rust: nothing of it is ever a Python object."""
    try:
        return _core.Key.from_keystore(_text(path).encode(), password.encode())
    except KeystoreLocked:
        raise _unreadable(path, "the password is another one") from None
    except KeystoreError as error:
        raise _unreadable(path, str(error)) from None
