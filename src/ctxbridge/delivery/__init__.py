"""What leaves: claimed from the outbox, asked of the gate, sent, and its receipt recorded."""

from ctxbridge.delivery.outbox import Outbox

__all__ = ["Outbox"]
