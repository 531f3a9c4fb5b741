"""Senders' keys that never come here: at a signer that speaks Web3Signer's HTTP API, or in a module of hardware
(PKCS#11).

The core says what it wants signed, and goes on; here it is asked for, each key by itself, so that a signer that hangs
holds up nothing but its own lane. Whether what comes back is the sender's signature is the core's to see: it brings
``s`` low, finds the recovery id, and refuses what is another key's.

>>> async with trio.open_nursery() as nursery:                                                      # doctest: +SKIP
...     signers = await nursery.start(Signers(outside_signers(settings), answered).run)
...     signers.ask(request, sender, payload)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import trio
from pydantic import TypeAdapter

from .. import _core
from ..errors import ExeclayerError
from ..upstream import Answer, Client, UpstreamError
from ..upstream.client import Outcome
from ..upstream.endpoint import Connector, connect
from .keys import KeyUnreadable, pin
from .settings import ModuleKey, OrderSettings, RemoteKey

COMPACT_BYTES = 64
"""``r`` and ``s``."""

KEYS = TypeAdapter(list[str])
"""Of Web3Signer: public keys in hex."""

TEXT_SHOWN = 200
"""Characters of what a signer said instead of signing."""

GREETING = b"\x19Ethereum Signed Message:\n9execlayer"
"""Signed to prove that a key is there: nothing that could ever be a transaction."""


class SignerRefused(ExeclayerError):
    """A signer was reached, and does not sign."""

    sender: str
    reason: str


class SignerUnreachable(ExeclayerError):
    """A signer was not reached, or not in time; later it may be."""

    sender: str
    reason: str


def _refused(sender: str, reason: str) -> SignerRefused:
    return SignerRefused(f"the signer of {sender} refuses: {reason}", sender=sender, reason=reason)


def _unreachable(sender: str, reason: str) -> SignerUnreachable:
    return SignerUnreachable(f"the signer of {sender} is not to be reached: {reason}", sender=sender, reason=reason)


class OutsideSigner(Protocol):
    """Signs for one sender."""

    @property
    def sender(self) -> str: ...

    async def run(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps what it needs until cancelled."""

    async def sign(self, payload: bytes) -> bytes:
        """``r`` and ``s`` for Keccak-256 of the payload. *Errors*: :class:`SignerRefused`, :class:`SignerUnreachable`;
        nothing is ever signed by halves."""


def outside_signers(settings: OrderSettings) -> list[OutsideSigner]:
    """Those that the settings name."""
    keys = settings.senders.keys
    remote = [RemoteSigner(key) for key in keys if isinstance(key, RemoteKey)]
    return [*remote, *(ModuleSigner(key) for key in keys if isinstance(key, ModuleKey))]


async def proved(signer: OutsideSigner) -> None:
    """Whether a signer signs with its sender's key. *Errors*: as :meth:`OutsideSigner.sign`."""
    async with trio.open_nursery() as nursery:
        await nursery.start(signer.run)
        found: bytes | ExeclayerError
        try:
            found = await signer.sign(GREETING)
        except (SignerRefused, SignerUnreachable) as error:
            found = error
        nursery.cancel_scope.cancel()
    if isinstance(found, ExeclayerError):
        raise found
    if not _core.is_signed_by(signer.sender, _core.keccak256(GREETING), found):
        raise _refused(signer.sender, "it signs with another key")


Answered = Callable[[int, bytes | None, str, bool], None]
"""Hears how a question ended: its name, ``r`` and ``s`` or why there are none, and whether that was a refusal."""


class Signers:
    """All outside signers of an engine."""

    def __init__(self, signers: Sequence[OutsideSigner], answered: Answered) -> None:
        self._signers = {signer.sender.lower(): signer for signer in signers}
        self._answered = answered
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[Signers] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps them until cancelled."""
        async with trio.open_nursery() as nursery:
            for signer in self._signers.values():
                await nursery.start(signer.run)
            self._nursery = nursery
            task_status.started(self)
            await trio.sleep_forever()

    def ask(self, request: int, sender: str, payload: bytes) -> None:
        """Has a payload signed in the background; :data:`Answered` hears of it, once."""
        assert self._nursery is not None, "signers run before the core is asked anything"
        self._nursery.start_soon(self._ask, request, self._signers[sender.lower()], payload)

    async def _ask(self, request: int, signer: OutsideSigner, payload: bytes) -> None:
        try:
            compact = await signer.sign(payload)
        except (SignerRefused, SignerUnreachable) as error:
            self._answered(request, None, error.reason, isinstance(error, SignerRefused))
        else:
            self._answered(request, compact, "", False)


# ---- over HTTP ------------------------------------------------------------------------------------------------------


class RemoteSigner:
    """A key at a signer that speaks Web3Signer's HTTP API: it gets the unsigned transaction, hashes it by itself (so it
    sees what it signs), and gives the signature in hex."""

    def __init__(self, key: RemoteKey, *, connect: Connector = connect) -> None:
        self.sender = key.address
        self._endpoint = key.signer
        self._identifier = key.identifier
        self._client = Client(key.signer, connect=connect)

    async def run(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        await self._client.run(task_status=task_status)

    async def sign(self, payload: bytes) -> bytes:
        if self._identifier is None:
            self._identifier = await self._find()
        body = json.dumps({"data": "0x" + payload.hex()}).encode()
        answer = await self._request("POST", f"/api/v1/eth1/sign/{self._identifier}", body)
        return self._compact(answer.body)

    def _compact(self, body: bytes) -> bytes:
        found = compact(body)
        if found is None:
            raise _refused(self.sender, f"what it gives is no signature: {_shown(body)}")
        return found

    async def _find(self) -> str:
        """What the signer calls the sender's key."""
        answer = await self._request("GET", "/api/v1/eth1/publicKeys", b"")
        try:
            addresses = listed(answer.body)
        except ValueError:
            raise _refused(self.sender, f"it gives no list of keys: {_shown(answer.body)}") from None
        found = addresses.get(self.sender.lower())
        if found is None:
            raise _refused(self.sender, f"none of its {len(addresses)} keys is the sender's")
        return found

    async def _request(self, method: str, target: str, body: bytes) -> Answer:
        endpoint = self._endpoint
        lines = [f"{method} {endpoint.target.rstrip('/')}{target} HTTP/1.1", f"Host: {endpoint.authority}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in endpoint.request_headers.items()]
        found: list[Outcome] = []
        done = trio.Event()

        def settle(outcome: Outcome) -> None:
            found.append(outcome)
            done.set()

        try:
            self._client.post("\r\n".join([*lines, "", ""]).encode("ascii") + body, settle, framed=True)
        except UpstreamError as error:
            raise _unreachable(self.sender, str(error)) from error
        await done.wait()
        [outcome] = found
        if isinstance(outcome, UpstreamError):
            raise _unreachable(self.sender, str(outcome))
        if outcome.is_accepted:
            return outcome
        said = f"HTTP status {outcome.status} {_shown(outcome.body)}".strip()
        # Too many requests, and whatever is wrong with the signer itself, may be over later.
        raise (_unreachable if outcome.status == 429 or outcome.status >= 500 else _refused)(self.sender, said)


def compact(body: bytes) -> bytes | None:
    """``r`` and ``s`` of an answer; the recovery id that comes with them is not needed. None: it is no signature."""
    try:
        signature = bytes.fromhex(body.decode().strip().strip('"').removeprefix("0x"))
    except ValueError:
        return None
    return signature[:COMPACT_BYTES] if len(signature) in (COMPACT_BYTES, COMPACT_BYTES + 1) else None


def listed(body: bytes) -> dict[str, str]:
    """The keys of a signer by their addresses, as it names them. *Errors*: ``ValueError``, for what is no such list."""
    return {_address(one): one for one in KEYS.validate_json(body)}


def _address(public_key: str) -> str:
    """Whose public key it is, in hex; with or without the byte that says that it is not compressed."""
    found = bytes.fromhex(public_key.removeprefix("0x"))
    if len(found) == COMPACT_BYTES + 1 and found[0] == 4:
        found = found[1:]
    if len(found) != COMPACT_BYTES:
        raise ValueError("a public key has 64 bytes")
    return "0x" + _core.keccak256(found)[-20:].hex()


def _shown(body: bytes) -> str:
    return body.decode("utf-8", "replace").strip()[:TEXT_SHOWN]


# ---- in hardware ----------------------------------------------------------------------------------------------------


class ModuleSigner:
    """A key in a PKCS#11 module: it gets the hash, since no module knows Keccak. One call at a time, in a thread; a
    session that broke is opened anew for the next."""

    def __init__(self, key: ModuleKey) -> None:
        self.sender = key.address
        self._settings = key
        self._one = trio.CapacityLimiter(1)
        self._key: Any = None
        self._session: Any = None

    async def run(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            task_status.started(self)
            await trio.sleep_forever()
        finally:
            self._close()

    async def sign(self, payload: bytes) -> bytes:
        digest = _core.keccak256(payload)
        try:
            with trio.fail_after(self._settings.timeout / 1e9):
                return await trio.to_thread.run_sync(self._sign, digest, limiter=self._one, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise _unreachable(self.sender, "it takes too long") from None

    def _sign(self, digest: bytes) -> bytes:
        try:
            import pkcs11
        except ImportError as error:
            raise _refused(self.sender, "PKCS#11 wants another package: pip install execlayer[hsm]") from error
        try:
            if self._key is None:
                self._open()
            return bytes(self._key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))
        except (KeyUnreadable, pkcs11.NoSuchKey, pkcs11.NoSuchToken, pkcs11.PinIncorrect, pkcs11.PinLocked) as error:
            raise _refused(self.sender, _why(error)) from error
        except Exception as error:
            # Whatever a maker's library ends in, it is one lane's trouble and not the engine's.
            self._close()
            raise _unreachable(self.sender, _why(error)) from error

    def _open(self) -> None:
        import pkcs11

        settings = self._settings
        token = pkcs11.lib(settings.module).get_token(token_label=settings.token)
        try:
            self._session = token.open(user_pin=pin(settings))
        except pkcs11.UserAlreadyLoggedIn:
            # Another of our keys is in the same token: who is logged in there is so for all sessions.
            self._session = token.open()
        self._key = self._session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=settings.label)

    def _close(self) -> None:
        session, self._session, self._key = self._session, None, None
        if session is not None:
            try:
                session.close()
            except Exception:
                # It was broken, which is why it is closed.
                return


def _why(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
