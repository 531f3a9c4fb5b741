"""Who makes the blocks of a running chain."""

from .service import Mode, Policy, Produced, Producer

__all__ = ["Mode", "Policy", "Produced", "Producer"]
