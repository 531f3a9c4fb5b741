"""What the command's exit codes mean. The table stands in docs/cli.md, too; a test holds the two together."""

from __future__ import annotations

DONE = 0
"""It is done; tests passed, a proof holds, a call succeeded."""

REFUSED = 1
"""It can't be done, or the answer is no; the reason is one line on stderr, or one JSON object with ``--json``."""

USAGE = 2
"""Wrong usage: an unknown option, an argument that is none."""

REVERTED = 3
"""``run``: the code reverted."""

HALTED = 4
"""``run``: the code broke a rule, such as running out of gas."""

INTERRUPTED = 130
"""Ctrl-C."""

TRANSITION = {
    "ExeclayerError": 2,
    "UnknownNetwork": 3,
    "EnvironmentIncomplete": 3,
    "BlockHashMissing": 4,
    "MalformedInput": 10,
    "OSError": 11,
    "MalformedBody": 12,
}
"""``t8n`` ends with the codes of its interface, by the class of the refusal; of several that fit, the last."""
