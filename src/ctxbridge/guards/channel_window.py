"""The window of a channel: some let a business write only for a day after the contact did."""

from collections.abc import Collection

from ctxbridge.guards import past
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard
from ctxbridge.model import Verdict


def channel_window(
    *, channels: Collection[str] = ("whatsapp", "messenger"), hours: float = 24.0
) -> FunctionGuard:
    """Blocks what would leave later than `hours` after the contact's last message on the channel.

    The provider would refuse it; what it takes then is a template of yours. Where the context shows
    no message of theirs on the channel, the window counts as closed.
    """
    within = frozenset(channels)
    milliseconds = hours * 3_600_000

    @guard("reply", "send", name="channel_window")
    def check(check: TextCheck) -> Verdict:
        if check.channel not in within:
            return allow()
        last = past.last_inbound(check)
        is_open = last is not None and check.now - past.written_at(last) < milliseconds
        return allow() if is_open else block("window.closed")

    return check
