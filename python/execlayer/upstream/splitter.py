"""JSON values out of a stream, as geth's IPC has them: one after another, with nothing but white space between."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')


class Splitter:
    """Cuts a stream into whole objects and arrays. Each byte is looked at once, however small the pieces are."""

    def __init__(self, value_bytes: int, kind: str = "request") -> None:
        self._limit = value_bytes
        self._kind = kind
        self._buffer = bytearray()
        self._position = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[bytes]:
        """The values that became whole. Raises ``ValueError`` where the stream is no sequence of values; nothing
        after that can be trusted."""
        self._buffer += data
        values = []
        while (end := self._next_end()) is not None:
            self._check_size(end)
            values.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
            self._position = 0
        self._check_size(len(self._buffer))
        return values

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise ValueError(f"{self._kind} is larger than {self._limit} bytes")

    def _next_end(self) -> int | None:
        """The end of the first value, if it is here."""
        buffer = self._buffer
        if self._depth == 0:
            del buffer[: len(buffer) - len(buffer.lstrip())]
            if buffer and buffer[0] not in b"{[":
                raise ValueError("parse error")
        while True:
            found = (_INSIDE if self._in_string else _OUTSIDE).search(buffer, self._position)
            if found is None:
                # A position past the end stays: it skips the byte after a backslash, which is yet to come.
                self._position = max(self._position, len(buffer))
                return None
            self._position = found.end()
            match found[0]:
                case b"\\":
                    self._position += 1
                case b'"':
                    self._in_string = not self._in_string
                case b"{" | b"[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == 0:
                        return self._position
