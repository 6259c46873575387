"""Automatic mail and echoes of our own: never answered, or two machines talk for ever."""

from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard
from ctxbridge.model import Verdict


def automatic() -> FunctionGuard:
    """Blocks, in silence, what no person wrote, as the adapter flagged it (RFC 3834)."""
    return _automatic


@guard("inbound", name="automatic", early=True)
def _automatic(check: TextCheck) -> Verdict:
    if "self" in check.flags:
        return block("automatic.echo")
    if "auto" in check.flags:
        return block("automatic.mail")
    return allow()
