"""How much the server lets clients have. Every bound has a name and a unit; none can be switched off."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt


class Limits(BaseModel):
    """Bounds of one server. What one request may ask of the chain (batch length, blocks, logs) is bounded in Rust."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connections: PositiveInt = 1_024
    """Open connections of all kinds; one more is told 503 and closed."""

    body_bytes: PositiveInt = 5 * 1024 * 1024
    """One request body, WebSocket message or IPC value."""

    head_bytes: PositiveInt = 32 * 1024
    """Request line and headers."""

    head_seconds: PositiveFloat = 10.0
    """From the first byte of a request to the end of its headers: what stops clients that drip."""

    body_seconds: PositiveFloat = 30.0
    """From the end of the headers to the end of the body."""

    idle_seconds: PositiveFloat = 75.0
    """A connection without a request. A WebSocket is pinged after this long, and closed after as long again."""

    send_seconds: PositiveFloat = 30.0
    """Until a client has taken an answer."""

    call_seconds: PositiveFloat = 30.0
    """Until a request is answered with an error instead."""

    calls_at_once: PositiveInt = 16
    """Long requests of one WebSocket or IPC connection that run at the same time; further ones wait unread."""

    threads: PositiveInt = 8
    """Long requests of all connections that run at the same time; further ones wait their turn."""

    drain_seconds: PositiveFloat = 5.0
    """When the server stops: how long running requests may still take."""
