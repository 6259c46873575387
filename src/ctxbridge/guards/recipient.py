"""Whether who is written to is the contact of the conversation."""

from ctxbridge.guards import past
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard
from ctxbridge.model import Verdict


def recipient() -> FunctionGuard:
    """Blocks a message to an address whose link to the contact does not hold (any more).

    The send gate refuses it as well; this says so before the words are stored. Nothing is said of a
    contact who is not known yet.
    """
    return _recipient


@guard("reply", "send", name="recipient")
def _recipient(check: TextCheck) -> Verdict:
    contact = check.contact or (check.context.contact if check.context else None)
    if contact is None:
        return block("recipient.unknown") if check.stage == "send" else allow()
    address = past.recipient(check)
    if address is not None:
        linked = contact.link_to(address) is not None
    else:
        linked = any(known.channel == check.channel for known in contact.addresses)
    return allow() if linked else block("recipient.not_linked")
