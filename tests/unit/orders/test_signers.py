"""Keys that are elsewhere: what they are asked, what is taken of their answers, and what is no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from execlayer import Key
from execlayer._core import is_signed_by, keccak256
from execlayer.errors import InvalidConfig
from execlayer.orders.security import at_signers, findings, secrets
from execlayer.orders.settings import ModuleKey, OrderSettings, RemoteKey, load
from execlayer.orders.signers import (
    GREETING,
    ModuleSigner,
    OutsideSigner,
    RemoteSigner,
    SignerRefused,
    Signers,
    SignerUnreachable,
    compact,
    listed,
    outside_signers,
    proved,
)
from tests.softhsm import PIN, TOKEN, module
from tests.web3signer import Web3Signer, open_web3signer, public_key

from .test_keys import settings_with
from .test_settings import written

KEY, OTHER = Key(b"\x21" * 32), Key(b"\x22" * 32)
PAYLOAD = bytes.fromhex("02e0" + "17" * 32)


def remote(signer: Web3Signer, key: Key = KEY, **changes: Any) -> RemoteKey:
    endpoint = {"url": signer.url, "timeout_seconds": 0.5, "headers": {"Authorization": "Bearer a-long-secret"}}
    return RemoteKey.model_validate({"kind": "remote", "address": key.address, "signer": endpoint, **changes})


async def ask(signer: OutsideSigner, payload: bytes = PAYLOAD) -> bytes:
    """Its signature."""
    found: list[bytes | Exception] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(signer.run)
        try:
            found.append(await signer.sign(payload))
        except (SignerRefused, SignerUnreachable) as error:
            found.append(error)
        nursery.cancel_scope.cancel()
    [one] = found
    if isinstance(one, Exception):
        raise one
    return one


@pytest.mark.parametrize("high", [False, True])
async def test_a_remote_signer_gets_the_payload_and_its_signature_is_the_senders(high: bool) -> None:
    async with open_web3signer(OTHER, KEY) as server:
        server.high = high
        compact = await ask(RemoteSigner(remote(server)))
        assert is_signed_by(KEY.address, keccak256(PAYLOAD), compact)
        assert not is_signed_by(OTHER.address, keccak256(PAYLOAD), compact)
        assert not is_signed_by(KEY.address, keccak256(GREETING), compact)
    (listed, where, _, _), (signed, target, headers, body) = server.asked
    assert (listed, where) == ("GET", "/api/v1/eth1/publicKeys")
    assert (signed, target) == ("POST", f"/api/v1/eth1/sign/{public_key(KEY)}")
    assert headers["authorization"] == "Bearer a-long-secret"
    assert body == b'{"data": "0x' + PAYLOAD.hex().encode() + b'"}'


async def test_a_key_with_a_name_is_not_looked_for_and_a_path_stays_in_front() -> None:
    async with open_web3signer(KEY) as server:
        server.wayward = lambda target: (200, b'"0x' + b"11" * 65 + b'"')
        server.url += "/behind/"
        signer = RemoteSigner(remote(server, identifier="a-name"))
        assert await ask(signer) == b"\x11" * 64
    assert [target for _, target, _, _ in server.asked] == ["/behind/api/v1/eth1/sign/a-name"]


@pytest.mark.parametrize(
    ("status", "body", "error", "reason"),
    [
        (200, b"garbage", SignerRefused, "no signature: garbage"),
        (200, b"0x1234", SignerRefused, "no signature: 0x1234"),
        (403, b"not this one", SignerRefused, "HTTP status 403 not this one"),
        (404, b"", SignerRefused, "HTTP status 404"),
        (429, b"", SignerUnreachable, "HTTP status 429"),
        (500, b"oops", SignerUnreachable, "HTTP status 500 oops"),
        (503, b"", SignerUnreachable, "HTTP status 503"),
    ],
)
async def test_an_answer_that_is_no_signature_says_whether_it_may_be_better_later(
    status: int, body: bytes, error: type[Exception], reason: str
) -> None:
    async with open_web3signer(KEY) as server:
        server.wayward = lambda target: (status, body) if "sign" in target else None
        with pytest.raises(error, match=reason):
            await ask(RemoteSigner(remote(server)))


async def test_a_signer_that_hangs_or_is_gone_is_not_waited_for() -> None:
    async with open_web3signer(KEY) as server:
        server.hangs = True
        with pytest.raises(SignerUnreachable, match="did not answer"):
            await ask(RemoteSigner(remote(server)))
    with pytest.raises(SignerUnreachable):
        await ask(RemoteSigner(remote(server)))


async def test_a_signer_without_the_senders_key_refuses() -> None:
    async with open_web3signer(OTHER) as server:
        with pytest.raises(SignerRefused, match="none of its 1 keys"):
            await ask(RemoteSigner(remote(server)))
        for body in (b"[1, 2]", b"[" * 100_000):
            server.wayward = lambda target, body=body: (200, body)
            with pytest.raises(SignerRefused, match="no list of keys"):
                await ask(RemoteSigner(remote(server)))


async def test_questions_are_answered_once_each_however_they_end() -> None:
    heard: list[tuple[int, bytes | None, str, bool]] = []
    both = trio.Event()

    def hear(*told: Any) -> None:
        heard.append(told)
        if len(heard) == 2:
            both.set()

    async with open_web3signer(KEY) as server:
        there = RemoteSigner(remote(server))
        gone = RemoteSigner(remote(server, key=OTHER))
        async with trio.open_nursery() as nursery:
            signers = await nursery.start(Signers([there, gone], hear).run)
            signers.ask(1, KEY.address, PAYLOAD)
            signers.ask(2, OTHER.address.lower(), PAYLOAD)
            with trio.fail_after(10):
                await both.wait()
            nursery.cancel_scope.cancel()
    told = {request: (compact is not None, refused) for request, compact, _, refused in heard}
    assert told == {1: (True, False), 2: (False, True)}


@given(st.binary(max_size=200) | st.from_regex(r'"?(0x)?([0-9a-f]{2}){60,70}"?', fullmatch=True).map(str.encode))
def test_any_answer_is_a_signature_or_none(body: bytes) -> None:
    found = compact(body)
    assert found is None or (len(found) == 64 and found.hex() in body.decode())


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_any_list_of_keys_is_read_or_refused(body: bytes) -> None:
    try:
        assert all(len(address) == 42 for address in listed(body))
    except ValueError:
        return


# ---- in a module ----------------------------------------------------------------------------------------------------


def held(label: str, address: str, **changes: Any) -> ModuleKey:
    tree = {"kind": "pkcs11", "address": address, "module": module().library, "token": TOKEN, "label": label}
    return ModuleKey.model_validate({**tree, "pin_variable": "A_PIN", **changes})


@pytest.fixture(autouse=True)
def a_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PIN", PIN)
    monkeypatch.setenv("ANOTHER_PIN", "654321")


async def test_a_key_that_a_module_made_signs_and_never_leaves_it(tmp_path: Path) -> None:
    address = module().make("made")
    (tmp_path / "pin").write_text(PIN + "\n")
    for key in (held("made", address), held("made", address, pin_variable=None, pin_file=tmp_path / "pin")):
        for number in range(8):
            payload = PAYLOAD + bytes([number])
            compact = await ask(ModuleSigner(key), payload)
            assert is_signed_by(address, keccak256(payload), compact)
    await proved(ModuleSigner(held("made", address)))
    with pytest.raises(SignerRefused, match="another key"):
        await proved(ModuleSigner(held("made", KEY.address)))


async def test_a_module_without_the_key_the_token_or_the_library_says_so() -> None:
    address = module().make("found")
    with pytest.raises(SignerRefused, match="NoSuchKey"):
        await ask(ModuleSigner(held("lost", address)))
    with pytest.raises(SignerRefused, match="NoSuchToken"):
        await ask(ModuleSigner(held("found", address, token="another")))
    with pytest.raises(SignerRefused, match="no such variable"):
        await ask(ModuleSigner(held("found", address, pin_variable="NO_PIN")))
    with pytest.raises(SignerRefused, match="PinIncorrect"):
        await ask(ModuleSigner(held("found", address, pin_variable="ANOTHER_PIN")))
    with pytest.raises(SignerUnreachable, match="nowhere"):
        await ask(ModuleSigner(held("found", address, module="/nowhere.so")))


async def test_a_module_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = ModuleSigner(held("slow", KEY.address, timeout="10ms"))
    monkeypatch.setattr(signer, "_sign", lambda digest: trio.from_thread.run(trio.sleep_forever))
    with pytest.raises(SignerUnreachable, match="too long"):
        await ask(signer)


# ---- settings and security ------------------------------------------------------------------------------------------

REMOTE = '{ kind = "remote", address = "0x' + "12" * 20 + '", signer = { url = "https://signer.example.org" } }'
MODULE = '{ kind = "pkcs11", address = "0x' + "34" * 20 + '", module = "m.so", token = "t", label = "l", PIN }'


def test_keys_of_all_kinds_stand_side_by_side(tmp_path: Path) -> None:
    module_key = MODULE.replace("PIN", 'pin_file = "pin"')
    settings = load(written(tmp_path, f'\n[senders]\nkeys = ["one", {REMOTE}, {module_key}]'))
    assert settings.senders.files == (tmp_path / "one",)
    assert settings.senders.pin_files == (tmp_path / "pin",)
    assert [one.sender for one in outside_signers(settings)] == ["0x" + "12" * 20, "0x" + "34" * 20]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (REMOTE.replace("https", "http"), "not encrypted"),
        (REMOTE.replace("https", "wss"), "not spoken to"),
        (REMOTE.replace("remote", "telepathy"), "telepathy"),
        (REMOTE[:-1] + ', identifier = "../x" }', "pattern"),
        (MODULE.replace(", PIN", ""), "PIN"),
        (MODULE.replace("PIN", 'pin_file = "a", pin_variable = "B"'), "PIN"),
    ],
)
def test_a_key_that_can_not_be_used_is_named(tmp_path: Path, key: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason) as refused:
        load(written(tmp_path, f"\n[senders]\nkeys = [{key}]"))
    assert refused.value.field.startswith("senders.keys")


async def test_security_knows_of_signers_outside(tmp_path: Path) -> None:
    async with open_web3signer(KEY) as server:
        (tmp_path / "pin").write_text("a-long-pin")
        (tmp_path / "pin").chmod(0o644)
        tree = {"kind": "pkcs11", "address": OTHER.address, "module": "m.so", "token": "t", "label": "l"}
        keys: list[Any] = [remote(server), {**tree, "pin_file": tmp_path / "pin"}]
        settings: OrderSettings = settings_with(tmp_path, senders={"keys": keys})
        found = {one.name: one for one in findings(settings)}
        assert found["keys"].holds and found["keys"].text == "2 at signers outside"
        assert not found["files"].holds and str(tmp_path / "pin") in found["files"].text
        assert {b"Bearer a-long-secret", b"a-long-pin"} <= secrets(settings)
        told = await at_signers(settings)
        assert not told.holds and OTHER.address in told.text and KEY.address not in told.text
        right = await at_signers(settings_with(tmp_path, senders={"keys": keys[:1]}))
        assert right.holds and right.text.startswith("1 signers")
