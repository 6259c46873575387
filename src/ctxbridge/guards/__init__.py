"""Guards: what is judged before it is stored, shown to a model, or sent.

::

    from ctxbridge import guards

    @guards.guard("reply", name="no_promises")
    def no_promises(check):
        if "guaranteed" in check.text:
            return guards.block("promise", say="Let me check that with a colleague.")
        return guards.allow()
"""

from ctxbridge.guards.automatic import automatic
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, modify
from ctxbridge.guards.opt_out import opt_out
from ctxbridge.guards.pii import pii
from ctxbridge.guards.pipeline import Judged, judge

__all__ = [
    "FunctionGuard",
    "Judged",
    "TextCheck",
    "allow",
    "automatic",
    "block",
    "guard",
    "judge",
    "modify",
    "opt_out",
    "pii",
]
