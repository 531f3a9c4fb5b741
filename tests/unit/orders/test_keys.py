"""Where keys may lie, and what a file without one is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from eth_account import Account

from execlayer import Key
from execlayer.errors import KeystoreError
from execlayer.orders.keys import KeyUnreadable, auth_keys, read_key, relay_identity, sender_keys
from execlayer.orders.settings import OrderSettings, load

from .test_settings import written

Kdf: TypeAlias = Literal["pbkdf2", "scrypt"]
SECRET = b"\x21" * 32
KEY = Key(SECRET)


def keystore(kdf: Kdf, iterations: int) -> dict[str, Any]:
    """As another implementation writes it."""
    sealed: dict[str, Any] = Account.encrypt(SECRET, "a password", kdf=kdf, iterations=iterations)
    return sealed


@pytest.mark.parametrize(("kdf", "iterations"), [("pbkdf2", 10), ("scrypt", 2)])
def test_a_keystore_of_another_implementation_is_opened(tmp_path: Path, kdf: Kdf, iterations: int) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(keystore(kdf, iterations)))
    assert read_key(path, chain_id=1, password="a password").address == KEY.address
    with pytest.raises(KeyUnreadable, match="password is another"):
        read_key(path, chain_id=1, password="no password")
    with pytest.raises(KeyUnreadable, match="password_file"):
        read_key(path, chain_id=1)


@pytest.mark.parametrize(
    "change",
    [{"version": 4}, {"crypto": {}}, {"crypto": {"cipher": "aes-128-cbc"}}, {"crypto": 7}, {"version": None}],
)
def test_what_is_no_keystore_is_named_and_its_content_is_not(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({**keystore("pbkdf2", 1), **change}))
    with pytest.raises(KeyUnreadable) as refused:
        read_key(path, chain_id=1, password="a password")
    assert refused.value.path == str(path)


def test_a_plain_key_is_for_development_chains_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"0x{SECRET.hex()}\n")
    assert read_key(path, chain_id=31_337).address == KEY.address
    with pytest.raises(KeyUnreadable, match="use a keystore") as refused:
        read_key(path, chain_id=1)
    assert SECRET.hex() not in str(refused.value)
    path.write_text("0x12")
    with pytest.raises(KeyUnreadable, match="32 bytes"):
        read_key(path, chain_id=31_337)


def settings_with(folder: Path, **tables: Any) -> OrderSettings:
    tree = load(written(folder)).model_dump()
    for name, table in tables.items():
        tree[name] = {**tree[name], **table} if isinstance(table, dict) else table
    return OrderSettings.model_validate(tree)


def test_senders_identity_and_sources_come_from_their_files(tmp_path: Path) -> None:
    for name, text in (("one", SECRET.hex()), ("two", (b"\x22" * 32).hex()), ("source", "ab" * 16), ("short", "ab")):
        (tmp_path / name).write_text(text)
    settings = settings_with(
        tmp_path,
        senders={"keys": [tmp_path / "one"]},
        mev_protection={"identity_key": tmp_path / "two"},
        protocol={"hmac_keys": {4: tmp_path / "source"}},
    )
    assert [key.address for key in sender_keys(settings)] == [KEY.address]
    identity = relay_identity(settings)
    assert identity is not None and identity.address != KEY.address
    assert [(key.id, len(key.secret)) for key in auth_keys(settings)] == [(4, 16)]
    with pytest.raises(KeyUnreadable, match="at least 16 bytes"):
        auth_keys(settings_with(tmp_path, protocol={"hmac_keys": {4: tmp_path / "short"}}))
    with pytest.raises(KeyUnreadable, match="no key"):
        sender_keys(settings_with(tmp_path))
    with pytest.raises(KeyUnreadable, match="nowhere"):
        sender_keys(settings_with(tmp_path, senders={"keys": [tmp_path / "nowhere"]}))


def test_the_public_keystores_open_but_for_one_that_the_standard_of_scrypt_forbids(
    primitives: Callable[[str], Any],
) -> None:
    cases = primitives("KeyStoreTests/basic_tests.json")
    assert len(cases) >= 5
    for name, case in cases.items():
        sealed, password = json.dumps(case["json"]).encode(), case["password"].encode()
        if name == "test2":
            with pytest.raises(KeystoreError, match="n"):
                Key.from_keystore(sealed, password)
        else:
            assert Key.from_keystore(sealed, password) == Key(bytes.fromhex(case["priv"]))
