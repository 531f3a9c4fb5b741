"""Completion is made from the parser, so nothing in it can be out of date."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from execlayer import cli

from .conftest import Run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_its_options_are_completed(run: Run, shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0
    words = json.loads(run("completion", shell, "--json")[1])
    assert set(words) == {"", *cli.COMMANDS} and set(cli.COMMANDS) <= set(words[""])
    for own in words.values():
        for name in own:
            assert (name.lstrip("-") if shell == "fish" else name) in out
    assert {"--input.alloc", "--state.fork", "--trace.nostack"} <= set(words["t8n"])
    assert "--trace.nomemory" not in words["t8n"], "an older name that help doesn't tell, either"
    assert {"stat", "check", "compact", "--json"} <= set(words["store"])


def complete(script: str, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    state = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}"
    ask = f"{script}\n{state}; _execlayer; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.split()


def test_bash_understands_it(run: Run) -> None:
    _, script, _ = run("completion", "bash")
    assert complete(script, "execlayer", "sta") == ["statetest"]
    assert complete(script, "execlayer", "statetest", "--f") == ["--fork"]
    assert complete(script, "execlayer", "store", "c") == ["check", "compact"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_understand_it_where_they_are(run: Run, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    _, script, _ = run("completion", shell)
    done = subprocess.run([shell, "--no-execute", "-c", script], check=False, timeout=30)
    assert done.returncode == 0
