"""The command line as such: help with examples, refusals as one line, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import execlayer
from execlayer import cli
from execlayer.errors import InvalidConfig


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys)
    assert "examples:" in text
    for name, summary in cli.COMMANDS.items():
        assert name in text and summary in text


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_commands_help_has_an_example_that_it_understands(capsys: pytest.CaptureFixture[str], name: str) -> None:
    examples = cli.module(name).EXAMPLES
    text = helped(capsys, name)
    assert examples in text and f"  execlayer {name}" in examples and "--json" in text
    parser = cli._parser()
    for line in examples.splitlines()[1:]:
        arguments = line.partition("execlayer ")[2].partition("   ")[0].partition(" | ")[0].split()
        assert parser.parse_args(arguments).command == name


def test_the_version_is_the_one_of_the_rust_side(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == execlayer.__version__


@pytest.mark.parametrize(
    "arguments", [[], ["nodde"], ["node", "--prot", "1"], ["config", "shows"], ["node", "--port", "x"]]
)
def test_wrong_usage_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: execlayer" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from the environment of whoever runs the tests."""
    for name in os.environ:
        if name.startswith("EXECLAYER_"):
            monkeypatch.delenv(name)


def test_settings_are_shown_as_a_file_that_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.toml"
    assert cli.main(["config", "show", "--port", "7", "--block-time", "2"]) == 0
    shown = capsys.readouterr().out
    assert "[rpc]" in shown and "port = 7" in shown and 'mode = "interval"' in shown
    path.write_text(shown)
    assert cli.main(["config", "show", "--config", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert cli.main(["config", "check", "--config", str(path)]) == 0
    assert capsys.readouterr().out == ""


def test_settings_are_shown_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "show", "--json", "--no-rpc", "--no-mining"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert (tree["rpc"]["enabled"], tree["mining"]["mode"], tree["data"]) == (False, "manual", None)
    assert cli.main(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True}


@pytest.mark.parametrize("action", ["check", "show"])
@pytest.mark.parametrize(
    ("text", "field"), [("[rpc]\nprot = 1", "rpc.prot"), ("speed = 1", "speed"), ("[rpc]\nport = -1", "rpc.port")]
)
def test_an_unknown_setting_in_a_file_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: str, text: str, field: str
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    assert cli.main(["config", action, "--config", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"execlayer: setting {field} ") and err.count("\n") == 1
    assert cli.main(["config", action, "--json", "--config", str(path)]) == 1
    refused = json.loads(capsys.readouterr().out)
    assert refused["error"] == InvalidConfig.__name__ and field in refused["message"]


def test_an_unknown_setting_in_the_environment_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXECLAYER_RPC__PROT", "1")
    assert cli.main(["config", "check"]) == 1
    assert "rpc.prot" in capsys.readouterr().err


def test_refusals_in_groups_are_told_as_one_line_and_bugs_are_not_hidden() -> None:
    refusal = OSError("in use")
    assert cli._refusal(BaseExceptionGroup("", [ExceptionGroup("", [refusal])])) is refusal
    assert cli._refusal(ExceptionGroup("", [refusal, OSError("another")])) is refusal
    assert cli._refusal(ExceptionGroup("", [refusal, ZeroDivisionError()])) is None
    assert cli._refusal(ZeroDivisionError()) is None
