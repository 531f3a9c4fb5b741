"""Every way in which another node fails us, told apart by what is known afterwards.

What matters to somebody who sends transactions is whether the request may have been taken: ``sent`` says it. An error
with ``sent`` false came before the first byte left; one with ``sent`` true says nothing about what the other side did.
Only :class:`CallRefused` is an answer.
"""

from __future__ import annotations

from typing import Any

from ..errors import ExeclayerError


class UpstreamError(ExeclayerError):
    """Another node did not do what it was asked."""

    sent = True
    """Whether any of the request may have reached the other side."""

    endpoint: str


class EndpointUnreachable(UpstreamError):
    """No connection, or it ended before the request was written."""

    reason: str

    sent = False


class Backlogged(UpstreamError):
    """So many requests wait for this endpoint that no more are taken."""

    limit: int

    sent = False


class EndpointTimeout(UpstreamError):
    """No reply in time."""

    seconds: float


class ReplyLost(UpstreamError):
    """The connection ended between request and reply."""

    reason: str


class ReplyMalformed(UpstreamError):
    """What came back is no reply."""

    reason: str


class ReplyTooLarge(UpstreamError):
    """The reply is larger than may be."""

    limit: int


class EndpointRefused(UpstreamError):
    """HTTP said no: too many requests, a gateway's trouble, wrong credentials."""

    status: int
    text: str
    retry_after_seconds: float | None


class CallRefused(UpstreamError):
    """The node answered with an error of JSON-RPC. That is an answer: it has judged the call."""

    code: int
    reason: str
    data: Any


class WrongChainId(UpstreamError):
    """The endpoint serves another chain."""

    expected: int
    actual: int


class SubscriptionLost(UpstreamError):
    """Notifications came faster than they were taken, or their connection ended."""

    reason: str


class NoEndpoint(ExeclayerError):
    """Of all endpoints with this role none is fit to be asked."""

    role: str
