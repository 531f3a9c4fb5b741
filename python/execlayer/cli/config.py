"""Check or show the settings that a node would run with, wherever they come from: file, environment, options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from . import settings

EXAMPLES = """examples:
  execlayer config show                           all settings, as TOML for a file
  execlayer config check --config node.toml       says what is wrong with them, or nothing
  EXECLAYER_RPC__PORT=0 execlayer config show     the environment counts, too"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("action", choices=["check", "show"])
    settings.describe(parser)


def run(options: argparse.Namespace) -> int:
    """Reads the settings, and prints them if asked to."""
    config = settings.read(options)
    if options.action == "show":
        tree = config.model_dump(mode="json")
        print(json.dumps(tree) if options.json else "\n".join(_toml(tree)))
    elif options.json:
        print(json.dumps({"ok": True}))
    return 0


def _toml(tree: dict[str, Any], table: str = "") -> Iterator[str]:
    """Settings as TOML; what is not set stands as a comment."""
    for name, value in tree.items():
        if value is None:
            yield f"# {name} ="
        elif not isinstance(value, dict):
            # JSON's strings, numbers and booleans are TOML's, too.
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}"
    for name, value in tree.items():
        if isinstance(value, dict):
            yield ""
            yield f"[{table}{name}]"
            yield from _toml(value, f"{table}{name}.")
