"""A lab for whatever sends transactions: a pool, a private builder, reorganisations and faults, in front of a node that
has none of them.

>>> async with open_chainlab("http://127.0.0.1:8545") as lab:                                       # doctest: +SKIP
...     client = Client(Endpoint(url=lab.url))
"""

from __future__ import annotations

from .builder import Builder as Builder
from .builder import Bundle as Bundle
from .lab import Chainlab as Chainlab
from .lab import LabError as LabError
from .lab import LabRules as LabRules
from .lab import open_chainlab as open_chainlab
from .pool import Pool as Pool
from .pool import PoolRules as PoolRules

__all__ = ["Builder", "Bundle", "Chainlab", "LabError", "LabRules", "Pool", "PoolRules", "open_chainlab"]
