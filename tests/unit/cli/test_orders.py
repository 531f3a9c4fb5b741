"""`execlayer orders`: a journal proved, replayed and restored; what is refused; and an engine that is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from execlayer import Chain, Key
from execlayer.artifacts import artifact
from execlayer.cli import orders_send
from execlayer.errors import InvalidArgument
from execlayer.orders import OrderEngine
from execlayer.orders.keys import sender_keys
from execlayer.orders.settings import load
from execlayer.testing import open_chainlab
from execlayer.upstream import LocalClient

from .conftest import Run

TOKENS = ["0x" + "44" * 20, "0x" + "11" * 20]
SIGNAL = {
    "pools": ["0x" + "22" * 20, "0x" + "33" * 20],
    "tokens": TOKENS,
    "amounts": [5],
    "profit_token": TOKENS[1],
    "expected_profit": 10**18,
    "expected_profit_wei": 10**18,
    "gas_estimate": 200_000,
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The settings of an engine that runs on a chain of this process, in a thread of its own."""
    chain = Chain.dev()
    operator = chain.accounts[1].key
    contract = chain.accounts[0].transfer(None, 0, data=artifact("Arbitrageur").create()).contract_address
    (tmp_path / "key").write_text(operator.secret.hex())
    path = tmp_path / "orders.toml"
    head = f"chain_id = {chain.chain_id}\ncontract = '{contract}'\nrecipient = '{'0x' + '99' * 20}'\n"
    listen = tmp_path / "signals"
    up, down = threading.Event(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        async with open_chainlab(LocalClient(chain.core)) as lab, trio.open_nursery() as nursery:
            tables = (
                f"[rpc_endpoints.primary]\nurl = '{lab.websocket_url}'\n[senders]\nkeys = ['key']\n"
                "[execution_engine]\npresim = 'off'\nconfirmation_blocks = 0\nconflict = 'ignore'\n"
                "[submission_strategy]\ntype = 'public'\n[journal]\ndir = 'journal'\nbackup_dir = 'backup'\n"
                f"[protocol]\nlisten = '{listen}'\nmetrics = '127.0.0.1:0'\n"
            )
            path.write_text(head + tables)
            settings = load(path)
            engine = await nursery.start(OrderEngine(settings, sender_keys(settings)).run)
            nursery.start_soon(lab.run_blocks, 0.2)
            up.set()
            await down.wait()
            engine.stop()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=[run])
    thread.start()
    try:
        assert up.wait(30)
        yield path
    finally:
        tokens[0].run_sync_soon(down.set)
        thread.join(30)
        chain.close()


def test_an_order_goes_out_and_its_journal_is_proved_replayed_and_restored(run: Run, running: Path) -> None:
    config = ("--config", str(running))
    sent = running.parent / "signal.json"
    sent.write_text(json.dumps(SIGNAL))
    # The pools are nobody's, so the chain refuses it: an order all the same, settled and told.
    code, out, _ = run("orders", "send", str(sent), *config, "--wait", "--json")
    told = json.loads(out)
    assert (code, told["order"], told["failure"]) == (1, 1, "TransactionReverted")
    assert told["realized_wei"] < 0 and len(told["transactions"]) == 1
    code, out, _ = run("orders", "status", *config)
    assert code == 0 and "0 completed, 1 failed" in out and "1 TransactionReverted" in out
    code, out, _ = run("orders", "status", *config, "--json")
    assert json.loads(out)["lanes"][0]["next"] == 1
    for word, halted in (("halt", 1), ("resume", 0)):
        assert run("orders", word, *config)[0] == 0
        assert json.loads(run("orders", "status", *config, "--json")[1])["halted"] == halted
    code, out, _ = run("orders", "verify", *config, "--json")
    figures = json.loads(out)
    assert (code, figures["orders_failed"], figures["failures"]) == (0, 1, {"TransactionReverted": 1})
    other = running.parent / "other.toml"
    other.write_text(running.read_text().replace("[execution_engine]", "[execution_engine]\nmax_gas_price = 7"))
    code, out, _ = run("orders", "replay", *config, "--with", str(other), "--json")
    assert json.loads(out)["failures"] == {"was": {"TransactionReverted": 1}, "would": {"GasPriceTooHigh": 1}}
    assert run("orders", "replay", *config, "--with", str(other))[1].count("the same") >= 2
    code, out, _ = run("orders", "drill", *config)
    assert code == 0 and "snapshot and records agree" in out
    code, out, _ = run("orders", "verify", *config, "--security")
    assert code == 1 and "FAIL  limits" in out and "ok    chain" not in out
    for word in ("status", "dash"):
        code, out, _ = run("orders", word, *config, "--journal", "--json")
        told = json.loads(out)
        assert (code, told["ready"], told["orders_failed"]) == (0, 0, 1)
        assert [one["failure"] for one in told["recent_failures"]] == ["TransactionReverted"]
    code, out, _ = run("orders", "status", *config, "--journal")
    assert code == 0 and "not ready" in out and "order 1 failed" in out


def test_what_is_asked_wrongly_is_refused_in_a_line(run: Run, running: Path) -> None:
    config = ("--config", str(running))
    for words, reason in (
        (("cancel",), "wants an order's number"),
        (("cancel", "x"), "wants an order's number"),
        (("thaw",), "wants a sender's address"),
        (("thaw", "0x12"), "sender"),
        (("send",), "a file of signals"),
        (("send", "nothing.json"), "can't read signals from nothing.json: No such file"),
    ):
        code, _, err = run("orders", *words, *config)
        assert code == 1 and reason in err, (words, err)


def test_without_an_engine_or_a_journal_that_is_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "orders.toml"
    path.write_text(
        f"chain_id = 31337\ncontract = '{'0x' + '11' * 20}'\nrecipient = '{'0x' + '99' * 20}'\n"
        "[rpc_endpoints.primary]\nurl = 'ws://127.0.0.1:1'\n[senders]\nkeys = ['key']\n[journal]\ndir = 'journal'\n"
    )
    code, _, err = run("orders", "status", "--config", str(path))
    assert code == 1 and "no engine runs here" in err
    code, _, err = run("orders", "verify", "--config", str(path))
    assert code == 1 and "no key in" in err
    (tmp_path / "key").write_text(Key(b"\1" * 32).secret.hex())
    for words in (["verify"], ["drill"], ["dash", "--journal"]):
        code, _, err = run("orders", *words, "--config", str(path))
        assert code == 1 and ("no journal" in err or "nothing to restore" in err)
    code, _, err = run("orders", "run", "--config", str(tmp_path / "nothing.toml"))
    assert code == 1 and "nothing.toml" in err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{\n}\n{", "JSON"),
        ("[1]", "an object"),
        ('{"pool": 1}', "fields of a signal"),
        ('{"pools": []}', "tokens, amounts, profit_token, expected_profit, expected_profit_wei, too"),
        (json.dumps({**SIGNAL, "hops": [{"size": 1}]}), "a signal"),
        (json.dumps({**SIGNAL, "raw_call": 7}), "a signal"),
    ],
)
def test_a_line_that_is_no_signal_is_named(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        orders_send.signals(text, _Settings())  # type: ignore[arg-type]


def test_signals_stand_one_a_line_or_alone(tmp_path: Path) -> None:
    lines = "\n".join([json.dumps(SIGNAL), "", json.dumps({**SIGNAL, "signal_id": 7, "hops": [{"fee": 30}] * 2})])
    first, second = orders_send.signals(lines, _Settings())  # type: ignore[arg-type]
    assert (second.signal_id, second.hops[0].fee, first.chain_id) == (7, 30, 31_337)
    [alone] = orders_send.signals(json.dumps(SIGNAL, indent=2), _Settings())  # type: ignore[arg-type]
    assert alone.pools == SIGNAL["pools"]


class _Settings:
    chain_id: Any = 31_337
