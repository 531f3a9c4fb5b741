"""A blockchain execution layer in your process: script blocks and transactions, executed in Rust with Ethereum's rules.

>>> import execlayer as xl
>>> chain = xl.Chain.dev()
>>> alice, bob = chain.accounts[:2]
>>> alice.transfer(bob, "1 ether").ok
True

Names are looked up when they are first used, so that the import stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors as errors
    from . import evm as evm
    from . import proofs as proofs
    from ._core import Block as Block
    from ._core import Key as Key
    from ._core import Log as Log
    from ._core import Outcome as Outcome
    from ._core import Receipt as Receipt
    from ._core import Transaction as Transaction
    from ._core import __version__ as __version__
    from ._core import senders as senders
    from ._core import signers as signers
    from .accounts import Account as Account
    from .chain import Chain as Chain
    from .errors import ExeclayerError as ExeclayerError
    from .spec import ChainSpec as ChainSpec
    from .trace import Trace as Trace
    from .units import Wei as Wei
    from .units import wei as wei

# Where each public name lives; a module stands for itself.
_HOMES = {
    "Account": "accounts",
    "Block": "_core",
    "Chain": "chain",
    "ChainSpec": "spec",
    "ExeclayerError": "errors",
    "Key": "_core",
    "Log": "_core",
    "Outcome": "_core",
    "Receipt": "_core",
    "Trace": "trace",
    "Transaction": "_core",
    "Wei": "units",
    "__version__": "_core",
    "errors": None,
    "evm": None,
    "proofs": None,
    "senders": "_core",
    "signers": "_core",
    "wei": "units",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    value = import_module(f".{name}", __name__) if home is None else getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
