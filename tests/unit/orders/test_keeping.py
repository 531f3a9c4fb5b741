"""What becomes of a journal with time: copies, a program that is told of them, and the end of what is old."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import trio

from execlayer._core import OrderEngine
from execlayer.errors import JournalRetired
from execlayer.orders import journals
from execlayer.orders.journals import drill, verify, what_if
from execlayer.orders.keeping import Keeper, back_up, number, retire
from execlayer.orders.monitor import Monitor
from execlayer.orders.settings import OrderSettings
from execlayer.orders.wire import Header, Signal

from .test_engine import KEY, WALL, ready
from .test_keys import settings_with

DAY = 86_400


def segment(folder: Path, first: int, *, age_days: float = 0, size: int = 10) -> Path:
    path = folder / f"journal-{first:020}.xlj"
    path.write_bytes(bytes(size))
    os.utime(path, (1e9 - age_days * DAY,) * 2)
    return path


def snapshot(folder: Path, record: int) -> None:
    (folder / f"snapshot-{record:020}.xls").write_bytes(b"")


@pytest.mark.parametrize(
    ("snapshots", "ages", "bytes_max", "left"),
    [
        ([450, 500], [40, 35, 20, 0], 10**9, [201, 301]),
        ([450, 500], [40, 35, 34, 33], 10**9, [301]),
        ([250, 500], [40, 35, 34, 33], 10**9, [201, 301]),
        ([200, 500], [40, 35, 34, 33], 10**9, [201, 301]),
        ([199, 500], [40, 35, 34, 33], 10**9, [101, 201, 301]),
        ([450, 500], [3, 2, 1, 0], 25, [201, 301]),
        ([450, 500], [3, 2, 1, 0], 40, [1, 101, 201, 301]),
        ([500], [40, 40, 40, 40], 0, [1, 101, 201, 301]),
        ([], [40, 40, 40, 40], 0, [1, 101, 201, 301]),
    ],
)
def test_what_is_old_or_too_much_goes_but_nothing_that_a_start_needs(
    tmp_path: Path, snapshots: list[int], ages: list[float], bytes_max: int, left: list[int]
) -> None:
    for first, age in zip((1, 101, 201, 301), ages, strict=True):
        segment(tmp_path, first, age_days=age)
    for record in (10, 20, *snapshots) if len(snapshots) > 1 else snapshots:
        snapshot(tmp_path, record)
    retire(tmp_path, 1e9 - 30 * DAY, bytes_max)
    assert sorted(int(one.stem[8:]) for one in tmp_path.glob("*.xlj")) == left
    assert sorted(int(one.stem[9:]) for one in tmp_path.glob("*.xls")) == snapshots


SIGNAL = Signal(
    signal_id=0,
    created_unix_ns=WALL,
    chain_id=1,
    pools=["0x" + "22" * 20, "0x" + "33" * 20],
    tokens=["0x" + "44" * 20, "0x" + "11" * 20],
    amounts=[5],
    profit_token="0x" + "11" * 20,
    expected_profit=1,
    expected_profit_wei=1,
    action="raw_call",
    raw_call=bytes(49_152),
)
"""As long as they come. It does not pay, and comes again and again, which is written all the same."""


def big_journal(folder: Path) -> OrderSettings:
    """The settings of an engine whose journal has more than one segment, and two snapshots in the second."""
    engine = ready(folder, max_gas_per_hour=0)
    frame = SIGNAL.to_frame(Header(sequence=1, sent_unix_ns=WALL, source_id=9))
    number = 0
    while len([*(folder / "journal").glob("*.xlj")]) < 2:
        number += 1
        engine.frames((number, WALL), [frame] * 20, True)
    for _ in range(2):
        engine.tick((number + 1, WALL + 1))
        engine.snapshot()
    return settings_with(
        folder, chain_id=1, contract="0x" + "cc" * 20, recipient="0x" + "dd" * 20, journal={"dir": folder / "journal"}
    )


def test_a_journal_whose_first_records_have_gone_is_restored_from_its_snapshots(tmp_path: Path) -> None:
    settings = big_journal(tmp_path)
    whole = drill(settings, [KEY])
    assert whole.figures["signals_received"] == 1
    assert len(retire(settings.journal.dir, 0, 0)) == 1
    rest = drill(settings, [KEY])
    assert rest.files == whole.files - 1
    assert {name: rest.figures[name] for name in journals.COMPARED} == {
        name: whole.figures[name] for name in journals.COMPARED
    }


def test_a_journal_whose_first_records_have_gone_is_proved_from_its_oldest_snapshot(tmp_path: Path) -> None:
    settings = big_journal(tmp_path)
    whole = verify(settings, [KEY])
    assert whole.pop("first_record") == 1
    [gone] = retire(settings.journal.dir, 0, 0)
    oldest = min(number(one) for one in settings.journal.dir.glob("*.xls"))
    rest = verify(settings, [KEY])
    assert (rest.pop("first_record"), rest) == (oldest + 1, whole)
    same = what_if(settings, [KEY], settings)
    assert same.orders == [] and all(was == would for was, would in same.figures.values())

    [segment] = settings.journal.dir.glob("*.xlj")
    for one in settings.journal.dir.glob("*.xls"):
        one.unlink()
    with pytest.raises(JournalRetired) as refused:
        verify(settings, [KEY])
    assert (refused.value.path, refused.value.first) == (str(settings.journal.dir), number(segment))
    assert not gone.exists()


def test_a_copy_has_the_settings_and_no_secret(tmp_path: Path) -> None:
    source = tmp_path / "journal"
    source.mkdir()
    path = segment(source, 1)
    settings = settings_with(
        tmp_path,
        journal={"dir": source},
        alerts={"webhook": {"url": "https://example.org/secret"}},
        rpc_endpoints={"primary": {"url": "wss://example.org/secret"}},
    )
    target = tmp_path / "copy"
    assert back_up(settings, target) == 1
    assert back_up(settings, target) == 0
    path.write_bytes(bytes(20))
    assert back_up(settings, target) == 1
    assert (target / path.name).stat().st_size == 20
    assert "secret" not in (target / "settings.json").read_text()


class Idle:
    """A core that nothing happens to."""

    next_record = 1

    def sync(self) -> None:
        """Nothing to be done."""


async def test_a_program_is_told_of_each_file_that_is_new_or_has_grown(tmp_path: Path) -> None:
    source, out = tmp_path / "journal", tmp_path / "told"
    source.mkdir()
    first = segment(source, 1)
    program = f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read() + '\\n')"
    command = [sys.executable, "-c", program]
    table = {"dir": source, "backup_command": command, "backup_every": "20s", "backup_dir": tmp_path / "copy"}
    settings = settings_with(tmp_path, journal=table)
    core: OrderEngine = Idle()  # type: ignore[assignment]
    keeper = Keeper(settings, lambda: core, Monitor())

    async def told(count: int) -> list[str]:
        with trio.fail_after(20):
            while not out.exists() or len(out.read_text().splitlines()) < count:  # noqa: ASYNC110  # another process
                await trio.sleep(0.02)
        return list(json.loads(out.read_text().splitlines()[-1])["files"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        assert await told(1) == [str(first)]
        second = segment(source, 101)  # a rotation: nothing waits for the next turn
        assert await told(2) == [str(second)]
        nursery.cancel_scope.cancel()
    assert (tmp_path / "copy" / second.name).exists()
