"""What makes an engine unsafe is found, one thing at a time, and what is right is proved."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import trio

from execlayer import Chain
from execlayer.artifacts import artifact
from execlayer.orders import security
from execlayer.orders.security import CHECKS, Finding, findings, on_chain
from execlayer.orders.settings import OrderSettings, load
from execlayer.testing import open_chainlab
from execlayer.upstream import LocalClient

from .test_keys import SECRET, settings_with
from .test_settings import EXAMPLES

OURS = "0x" + artifact("Arbitrageur").code_hash.hex()


def found(settings: OrderSettings) -> dict[str, Finding]:
    return {one.name: one for one in findings(settings)}


def test_what_makes_an_engine_unsafe_is_found_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(SECRET.hex())
    (tmp_path / "one").chmod(0o644)
    bare = settings_with(
        tmp_path, senders={"keys": [tmp_path / "one"]}, mev_protection={"identity_key": tmp_path / "one"}
    )
    assert {name: one.holds for name, one in found(bare).items()} == {
        "keys": False,
        "files": False,
        "encryption": True,
        "nodes": False,
        "contract": False,
        "addresses": False,
        "limits": False,
        "sources": True,
        "halt": False,
        "secrets": True,
        "alerts": False,
        "backup": False,
        "dependencies": True,
        "decoders": True,
    }


def test_the_example_for_production_lacks_only_what_is_not_in_the_file() -> None:
    lacking = {name for name, one in found(load(EXAMPLES / "production.toml")).items() if not one.holds}
    assert lacking <= {"keys", "sources", "backup"}


def test_a_contract_that_is_ours_has_guards_that_are_tested(tmp_path: Path) -> None:
    for code, words in ((OURS, "the one that ships"), ("0x" + "77" * 32, "yours to prove")):
        pinned = settings_with(tmp_path, contract_code_hash=code, genesis_hash="0x" + "00" * 32)
        holds, text = CHECKS["contract"](pinned)
        assert holds and words in text


SECRETS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "a path of a node's address": lambda _: {
        "rpc_endpoints": {"primary": {"url": "wss://node.example.org/v3/0123456789abcdef"}}
    },
    "a header": lambda _: {
        "rpc_endpoints": {"primary": {"url": "wss://node.example.org", "headers": {"Auth": "0123456789abcdef"}}}
    },
    "an address of alerts": lambda _: {"alerts": {"webhook": {"url": "https://example.org/0123456789abcdef"}}},
    "a password": lambda folder: {"senders": {"password_file": folder / "secret"}},
    "a source's secret": lambda folder: {"protocol": {"hmac_keys": {1: folder / "secret"}}},
    "a plain key": lambda folder: {"senders": {"keys": [folder / "secret"]}},
}


@pytest.mark.parametrize("which", SECRETS)
@pytest.mark.parametrize("form", [b"0123456789abcdef", bytes.fromhex("0123456789abcdef")], ids=["text", "bytes"])
def test_a_secret_in_the_journal_is_found_wherever_it_stands(tmp_path: Path, which: str, form: bytes) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    (tmp_path / "secret").write_text("0123456789abcdef")
    settings = settings_with(tmp_path, journal={"dir": journal}, **SECRETS[which](tmp_path))
    assert CHECKS["secrets"](settings)[0]
    # Across the border of two pieces that are read.
    (journal / "journal-1.xlj").write_bytes(bytes(security.CHUNK_BYTES - 3) + form + bytes(9))
    holds, text = CHECKS["secrets"](settings)
    assert not holds and "journal-1.xlj" in text


def test_a_package_that_was_changed_after_its_installation_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hash:
        mode, value = "sha256", "not this"

    class File:
        hash = Hash()

        def locate(self) -> Path:
            return Path(__file__)

    class Distribution:
        files = (File(),)
        requires = ("trio>=1", "ruff; extra == 'dev'")

    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())
    holds, text = CHECKS["dependencies"](settings_with(tmp_path))
    assert not holds and "test_security.py" in text


def test_a_decoder_that_breaks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        raise IndexError(len(data))

    monkeypatch.setattr(security, "parse", broken)
    holds, text = CHECKS["decoders"](settings_with(tmp_path))
    assert not holds and text.startswith("JSON: ")


async def test_what_the_chain_shows_is_compared_with_what_is_pinned(tmp_path: Path) -> None:
    chain = Chain.dev()
    owner, operator = chain.accounts[:2]
    contract = artifact("Arbitrageur")
    address = owner.transfer(None, 0, data=contract.create()).contract_address
    (tmp_path / "key").write_text(operator.key.secret.hex())
    async with open_chainlab(LocalClient(chain.core)) as lab:
        genesis = await lab.node.call("eth_getBlockByNumber", "0x0", False)

        def settings(**changes: Any) -> OrderSettings:
            pinned = {
                "chain_id": chain.chain_id,
                "contract": address,
                "contract_code_hash": OURS,
                "genesis_hash": genesis["hash"],
                "rpc_endpoints": {"primary": {"url": lab.url}},
                "senders": {"keys": [tmp_path / "key"]},
            }
            return settings_with(tmp_path, **{**pinned, **changes})

        assert "is no operator" in (await on_chain(settings())).text
        owner.transfer(address, 0, data=contract.call("setOperator", operator.address, True))
        right = await on_chain(settings())
        assert right.holds and "takes orders of 1 senders" in right.text
        for change, reason in (
            ({"contract_code_hash": "0x" + "77" * 32}, "another contract"),
            ({"contract": "0x" + "77" * 20}, "another contract"),
            ({"genesis_hash": "0x" + "77" * 32}, "genesis"),
            ({"chain_id": 1337}, f"chain {chain.chain_id}"),
            ({"senders": {"keys": []}}, "names no key"),
        ):
            wrong = await on_chain(settings(**change))
            assert not wrong.holds and reason in wrong.text, change
    gone = await on_chain(settings())
    assert not gone.holds
    chain.close()
    await trio.lowlevel.checkpoint()
