"""Writes docs/orders/settings.md: every setting of an engine with its default and what it is for, out of the source of
:mod:`execlayer.orders.settings`. ``make docs`` runs it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from ..config import Settings
from ..upstream import endpoint, failover, heads
from . import settings
from .durations import UNITS_NS, Duration

HEAD = """# Settings of an order engine

Of its one TOML file; [operators.md](operators.md) tells how to use it. Times are written with their unit, relative
paths are seen from the file's folder. `make docs` writes this page.
"""
TABLES: dict[str, type[Settings]] = {
    "A sender's key at a signer": settings.RemoteKey,
    "A sender's key in a module of hardware": settings.ModuleKey,
    "A node, a relay, a signer, a webhook": endpoint.Endpoint,
}
"""Tables that stand in several places."""

MODULES: tuple[ModuleType, ...] = (settings, endpoint, failover, heads)


def words() -> dict[tuple[str, str], str]:
    """What stands behind each field in the source, by class and field."""
    found = {}
    for module in MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                for field, after in zip(node.body, node.body[1:], strict=False):
                    text = after.value if isinstance(after, ast.Expr) else None
                    is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                    if is_field and isinstance(text, ast.Constant) and isinstance(text.value, str):
                        found[node.name, field.target.id] = " ".join(text.value.split())  # type: ignore[attr-defined]
    return found


def _table(annotation: Any) -> type[Settings] | None:
    """The table of settings that a field holds, or may hold, or holds several of."""
    kinds = [annotation, *get_args(annotation)]
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, Settings)), None)


def rows(table: type[Settings], path: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Table, key, default and words of every setting below; those of a table that comes again are told once."""
    known = words()
    inner: list[tuple[type[Settings], str]] = []
    for name, field in table.model_fields.items():
        owner = next(one.__name__ for one in table.__mro__ if name in one.__annotations__)
        found = _table(field.annotation)
        if found is not None and field.default not in (None, ()) and not issubclass(found, endpoint.Endpoint):
            inner.append((found, f"{path}{name}"))
            continue
        yield (
            path.rstrip("."),
            name,
            _default(field.get_default(call_default_factory=True), field.metadata),
            known.get((owner, name), ""),
        )
    for found, below in inner:
        yield from rows(found, f"{below}.")


def _default(value: Any, metadata: list[Any]) -> str:
    if value is PydanticUndefined:
        return "wanted"
    if value is None or value in ((), {}, 2**64 - 1, 2**128 - 1):
        return "none"
    if any(one in metadata for one in get_args(Duration)[1:]):
        unit = max((one for one in UNITS_NS.items() if value % one[1] == 0), key=lambda one: one[1])
        return f'`"{value // unit[1]}{unit[0]}"`'
    if isinstance(value, frozenset):
        return f"`{sorted(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:_}`" if isinstance(value, int) else f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def page() -> str:
    """The whole of it."""
    lines, last = [HEAD.rstrip()], None
    several = [row for title, table in TABLES.items() for row in rows(table, title)]
    for where, name, default, text in [*rows(settings.OrderSettings), *several]:
        if where != last:
            title = where if where in ("", *TABLES) else f"`[{where}]`"
            lines += [f"\n## {title or 'Without a table'}\n", "| key | default | |", "|---|---|---|"]
            last = where
        shown = text.replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{name}` | {default} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
