"""The order engine: an arbitrage signal's way into a block. The rules are in ``rust/orders``; here are its doors."""

from .states import STATE_OF, TRANSITIONS, Transition

__all__ = ["STATE_OF", "TRANSITIONS", "Transition"]
