"""What a turn tells: its span, which has never a text, an address or a name, and its answer."""

from pathlib import PurePath

from ctxbridge.bridge.judging import Inquiry, allowed_to
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Context, Floor, Message, Opened
from ctxbridge.telemetry import (
    ASSURANCE,
    DECISION_ACTION,
    DECISION_CODE,
    DECISION_ENFORCED,
    DISPOSITION,
    REPLIES,
    TURN_SEQ,
    TURN_STATUS,
)


def attributes_of(
    opened: Opened, status: str, inquiry: Inquiry, replies: int
) -> dict[str, str | int]:
    """The attributes of a turn's span."""
    attributes: dict[str, str | int] = {
        TURN_STATUS: status,
        TURN_SEQ: opened.seq,
        ASSURANCE: int(inquiry.inbound.assurance),
        REPLIES: replies,
    }
    decision = inquiry.decision
    if decision is not None and status == "new":
        attributes |= {
            DISPOSITION: inquiry.disposition,
            DECISION_ACTION: decision.action,
            DECISION_ENFORCED: decision.enforced,
            DECISION_CODE: decision.code,
        }
    return attributes


def sendable(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Those that may leave."""
    return tuple(m for m in messages if m.visible and m.author != "contact" and not m.silent)


def still_sendable(
    answer: tuple[Message, ...], context: Context, inquiry: Inquiry
) -> tuple[Message, ...]:
    """Of a stored answer what may leave now.

    After a STOP only what confirms this message, after a takeover nothing that an agent said.
    """
    if not allowed_to(context, inquiry.inbound.sender) and not inquiry.confirms:
        return ()
    told = sendable(answer)
    return told if context.floor is Floor.AGENT else tuple(m for m in told if m.author != "agent")


def raised(error: BaseException) -> str:
    """The type of an error of foreign code, and where it was raised: its words may hold anything.

    As in ``KeyError (bot.py:31)``.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file = PurePath(trace.tb_frame.f_code.co_filename).name
    return f"{type(error).__name__} ({file}:{trace.tb_lineno})"


def told(error: BaseException) -> str:
    """An error in full where it is ours, which holds nothing of a customer's; else as `raised`."""
    return (
        f"{type(error).__name__}: {error}" if isinstance(error, CtxBridgeError) else raised(error)
    )
