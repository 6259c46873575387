"""How much a contact gets from us in a while."""

from collections.abc import Collection

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import past
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, warn
from ctxbridge.model import Verdict


def contact_budget(
    messages: int = 20,
    *,
    per_seconds: float = 3600.0,
    channels: Collection[str] | None = None,
) -> FunctionGuard:
    """Blocks a message once the contact has got `messages` of ours within `per_seconds`.

    Counted are messages that were let through, on `channels` or on all, also those of people. No
    reservation is needed between counting and sending: a turn reads the context under the lease of
    the conversation and commits under the same fence, so no two turns count the same past, and
    what a turn has said already counts for what it says next.

    The context must show the time that is counted: with `Bridge(window=...)` at about twice
    `messages`. Where it shows less, what is seen is counted, and the guard warns
    ``budget.window_short``, since there may be more.
    """
    if messages < 1 or per_seconds <= 0:
        raise ConfigurationError("a budget is at least one message in some seconds")
    counted = None if channels is None else frozenset(channels)

    @guard("reply", "send", name="contact_budget")
    def check(check: TextCheck) -> Verdict:
        if counted is not None and check.channel not in counted:
            return allow()
        since = check.now - round(per_seconds * 1000)
        sent = [
            m.text
            for m in past.ours(check.context)
            if m.accepted_at > since and (counted is None or m.channel in counted)
        ]
        # At `send` the message itself stands in the log already, where it was read anew.
        itself = check.stage == "send" and check.text in sent
        if len(sent) - itself + check.said_before >= messages:
            return block("budget.messages")
        seen = check.context is None or past.reaches_back(check.context, since)
        return allow() if seen else warn("budget.window_short")

    return check
