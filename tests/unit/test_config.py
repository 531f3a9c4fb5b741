"""Settings: where they come from, which win, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from execlayer import Chain
from execlayer.config import Config, Rpc, load
from execlayer.errors import InvalidConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_without_any_source_the_defaults_hold() -> None:
    assert load() == Config()
    assert (load().rpc.host, load().rpc.port, load().mining.mode) == ("127.0.0.1", 8545, "automine")


def test_the_later_source_wins(tmp_path: Path) -> None:
    path = write(tmp_path, '[rpc]\nport = 1\nhost = "::1"\n[mining]\nmode = "manual"')
    assert load(path).rpc.port == 1
    environ = {"EXECLAYER_RPC__PORT": "2", "EXECLAYER_DATA": "chain", "OTHER": "x"}
    config = load(path, environ=environ)
    assert (config.rpc.port, config.rpc.host, config.data) == (2, "::1", Path("chain"))
    config = load(path, environ=environ, overrides={"rpc.port": 3, "data": None})
    assert (config.rpc.port, config.mining.mode, config.data) == (3, "manual", Path("chain"))


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().data = Path("elsewhere")


@pytest.mark.parametrize(
    ("text", "field", "value", "reason"),
    [
        ("[rpc]\nprot = 1", "rpc.prot", 1, "no such setting"),
        ("dta = 'x'", "dta", "x", "no such setting"),
        ("[rpc]\nport = 65536", "rpc.port", 65536, "less than or equal to 65535"),
        ("[rpc]\nport = 'many'", "rpc.port", "many", "valid integer"),
        ("[mining]\nmode = 'fast'", "mining.mode", "fast", "'automine', 'interval' or 'manual'"),
        ("[mining]\nblock_time_seconds = 0", "mining.block_time_seconds", 0, "greater than 0"),
        ("rpc = 1", "rpc", 1, "valid dictionary"),
        ("[store]\ndurability = 'often'", "store.durability", "often", "'full', 'batched' or 'none'"),
        ("[store]\nmap_size = 5", "store.map_size", 5, "greater than or equal to 1048576"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, field: str, value: object, reason: str
) -> None:
    with pytest.raises(InvalidConfig, match=field) as caught:
        load(write(tmp_path, text))
    assert (caught.value.field, caught.value.value) == (field, value)
    assert reason in caught.value.reason


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", write(tmp_path, "port = [")):
        with pytest.raises(InvalidConfig) as caught:
            load(path)
        assert caught.value.field == str(path)


def test_unknown_names_in_the_environment_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"rpc\.prot"):
        load(environ={"EXECLAYER_RPC__PROT": "1"})
    with pytest.raises(InvalidConfig, match="not a table"):
        load(environ={"EXECLAYER_DATA": "x", "EXECLAYER_DATA__PATH": "x"})


def test_the_pools_settings_come_from_file_and_environment_alike(tmp_path: Path) -> None:
    two = ["0x" + "11" * 20, "0x" + "22" * 20]
    text = f"[pool]\nreplacement_percent = 20\nsystem_senders = {two}\n[pool.priorities]\ndeploy = 3\n[mining]\n"
    filed = load(write(tmp_path, text + "presimulate = true"))
    environ = {
        "EXECLAYER_POOL__REPLACEMENT_PERCENT": "20",
        "EXECLAYER_POOL__SYSTEM_SENDERS": ", ".join(two),
        "EXECLAYER_POOL__PRIORITIES__DEPLOY": "3",
        "EXECLAYER_MINING__PRESIMULATE": "true",
    }
    assert load(environ=environ) == filed
    settings = filed.chain_settings()
    assert (settings["replacement_percent"], settings["presimulate"]) == (20, True)
    assert (settings["priorities"], settings["system_senders"]) == ({"deploy": 3.0}, tuple(two))


def test_every_setting_opens_a_chain() -> None:
    config = load(overrides={"mining.parallel_workers": 2})
    with Chain.dev(**config.chain_settings()) as chain:
        assert chain.pool.execution().batch_size == config.mining.batch_size


def test_the_choice_of_vector_instructions_is_no_setting_but_checked() -> None:
    assert load(environ={"EXECLAYER_SIMD": "scalar"}) == load(environ={"EXECLAYER_SIMD": ""}) == Config()
    with pytest.raises(InvalidConfig, match="EXECLAYER_SIMD is 'fast': use scalar"):
        load(environ={"EXECLAYER_SIMD": "fast"})


def test_only_this_machine_may_develop_unless_told_otherwise() -> None:
    assert Rpc().serves_development
    assert not Rpc(host="0.0.0.0").serves_development
    assert Rpc(host="0.0.0.0", development=True).serves_development
    assert not Rpc(development=False).serves_development


def test_what_is_kept_is_a_table_of_its_own() -> None:
    environ = {"EXECLAYER_STORE__HISTORY": "64", "EXECLAYER_FOLLOW": "http://127.0.0.1:1, ws://127.0.0.1:2"}
    config = load(environ=environ, overrides={"store.durability": "batched"})
    assert (config.store.history, config.store.durability) == (64, "batched")
    assert config.follow == ("http://127.0.0.1:1", "ws://127.0.0.1:2")
    assert load(overrides={"store.history": "archive"}).chain_settings()["history"] == "archive"
    Chain.dev(**config.chain_settings())
