"""Run Ethereum's public blockchain tests: chains of good and bad blocks, side branches, forks on the way.

Each failure is a line: file, chain, and the field that differs, with both values. The last line counts. The code is 1
where a chain failed, and a file that is no test counts as one; tests of another kind that lie in a folder or archive
are skipped.
"""

from __future__ import annotations

import argparse

from . import suites

EXAMPLES = """examples:
  execlayer blocktest tests/BlockchainTests                         a folder
  execlayer blocktest blockchain-cancun.tar.xz --match reorg        an archive, some of its chains
  execlayer blocktest fixtures.tar.gz --fork ParisToShanghaiAtTime15k
  execlayer blocktest chain.json --json                             for programs"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    suites.describe(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the tests."""
    from .. import _core

    return suites.run(_core.blocktest, options)
