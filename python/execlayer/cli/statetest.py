"""Run Ethereum's public state tests: one transaction each, at the forks that a test names.

Each failure is a line: file, case, and what differs, with both values. The last line counts. The code is 1 where a
case failed, and a file that is no test counts as one; tests of another kind that lie in a folder or archive are
skipped.
"""

from __future__ import annotations

import argparse

from . import suites

EXAMPLES = """examples:
  execlayer statetest tests/GeneralStateTests                       a folder
  execlayer statetest state-cancun.tar.xz --fork Cancun             an archive, one fork of it
  execlayer statetest add11.json --match g0 --jobs 1                one file, some of its cases
  execlayer statetest fixtures.tar.gz --json | jq -r .case          for programs"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    suites.describe(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the tests."""
    from .. import _core

    return suites.run(_core.statetest, options)
