"""The options that name settings, the same for every command that takes them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..config import Config, load

OPTIONS = {
    "data": "data",
    "genesis": "genesis",
    "host": "rpc.host",
    "port": "rpc.port",
    "ipc": "rpc.ipc",
    "block_time": "mining.block_time_seconds",
    "mining": "mining.mode",
    "rpc": "rpc.enabled",
    "parallel": "execution.parallel",
    "max_threads": "execution.max_threads",
    "verify": "execution.verify",
    "seals": "execution.seals",
    "durability": "store.durability",
    "history": "store.history",
    "follow": "follow",
}
"""Which setting each option stands for."""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML; see `execlayer config show`")
    parser.add_argument("--data", metavar="DIR", help="folder of the chain; without it the chain ends with the process")
    parser.add_argument("--genesis", metavar="FILE", help="a genesis.json of geth's form; default: the dev chain")
    parser.add_argument("--host", help="where JSON-RPC listens (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="its port, 0 for any that is free (default 8545)")
    parser.add_argument("--ipc", metavar="FILE", help="a UNIX socket at which JSON-RPC listens, too")
    parser.add_argument("--no-rpc", dest="rpc", action="store_const", const=False, help="no JSON-RPC")
    parser.add_argument(
        "--metrics", metavar="[HOST:]PORT", help="where figures for Prometheus are told: /metrics there"
    )
    parser.add_argument("--parallel", choices=("off", "on", "auto"), help="blocks on several cores (default auto)")
    parser.add_argument("--max-threads", type=int, metavar="COUNT", help="cores at most (default: all)")
    parser.add_argument(
        "--verify", action="store_const", const=True, help="execute each parallel block in sequence, too, and compare"
    )
    parser.add_argument("--seals", action="store_const", const=True, help="verify seals of proof of work")
    parser.add_argument(
        "--durability", choices=("full", "batched", "none"), help="when blocks are on disk (default full)"
    )
    parser.add_argument("--history", metavar="BLOCKS", help="states that can be read: a number (128), or archive")
    parser.add_argument("--follow", metavar="URL", help="take blocks from this node instead of making them")
    mining = parser.add_mutually_exclusive_group()
    mining.add_argument("--block-time", type=float, metavar="SECONDS", help="a block every so often, empty or not")
    mining.add_argument("--no-mining", dest="mining", action="store_const", const="manual", help="only when asked to")


def read(options: argparse.Namespace) -> Config:
    """The settings from file, environment and options."""
    given = {setting: getattr(options, option) for option, setting in OPTIONS.items()}
    if options.block_time is not None:
        given["mining.mode"] = "interval"
    if options.metrics is not None:
        host, _, port = options.metrics.rpartition(":")
        given["metrics.enabled"] = True
        given["metrics.host"] = host.removeprefix("[").removesuffix("]") or None
        given["metrics.port"] = port
    return load(options.config, environ=os.environ, overrides=given)
