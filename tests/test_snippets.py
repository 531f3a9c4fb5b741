"""The examples of the README and of the pages below docs/ run, top to bottom, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from execlayer import cli

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(python|console|json) ?(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OUR_COMMAND = "execlayer "


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/tutorial.md",
        "docs/cli.md",
        "docs/chainlab.md",
        "docs/evm.md",
        "docs/parallel.md",
        "docs/pool.md",
    ],
)
def test_the_snippets_of_a_page_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = BLOCK.findall((ROOT / name).read_text())
    assert blocks
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("EXECLAYER_"):
            monkeypatch.delenv(variable)
    namespace: dict[str, object] = {}
    for kind, file, text in blocks:
        if kind == "python":
            exec(compile(text, name, "exec"), namespace)
        elif kind == "json" and file:
            Path(file).write_text(text)
        elif kind == "console":
            for line, expected in commands(text):
                capsys.readouterr()
                assert matches(said(line, capsys), expected), f"{name}: {line}"


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of ours in a session, each with what it says there. Those of others are for readers, and so is a
    node, which runs until somebody ends it."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    pairs = [part.partition("\n") for part in parts[1:]]
    return [
        (line, expected) for line, _, expected in pairs if line.startswith(OUR_COMMAND) and line.split()[1] != "node"
    ]


def said(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    line, _, then = line.partition(" ; ")
    try:
        code = cli.main(shlex.split(line.removeprefix(OUR_COMMAND)))
    except SystemExit as end:
        code = int(end.code or 0)
    out = capsys.readouterr().out
    return out + (f"{code}\n" if then == "echo $?" else "")


def matches(text: str, pattern: str) -> bool:
    """Whether it is the same but for what stands as …, which is anything, over lines too."""
    return re.fullmatch(".*?".join(map(re.escape, pattern.split("…"))), text, re.DOTALL) is not None
