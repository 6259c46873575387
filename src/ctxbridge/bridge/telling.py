"""What a turn tells: its span, which has no text unless that was opted in to, and its answer."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from ctxbridge import telemetry
from ctxbridge.bridge.judging import Inquiry, allowed_to
from ctxbridge.errors import CorruptRecord, CtxBridgeError
from ctxbridge.model import Context, Floor, Inbound, Message, Opened
from ctxbridge.telemetry import LinkKind, TurnSpan, names

if TYPE_CHECKING:
    from ctxbridge.bridge.arriving import Arrival


def begin_span(inquiry: Inquiry, context: Context, arrival: "Arrival") -> TurnSpan:
    """The span of a turn whose message is stored, and in it the look-up that came with storing."""
    inbound = inquiry.inbound
    enforced = inquiry.decision.enforced if inquiry.blocked and inquiry.decision else ""
    span = TurnSpan(
        inbound.channel, context.conversation, context.trace, arrival.started,
        _link_kind(inbound, context), enforced, inquiry.release,
    )  # fmt: skip
    telemetry.opened(span, inbound.channel, context, arrival.asked, arrival.opened)
    return span


def _link_kind(inbound: Inbound, context: Context) -> LinkKind:
    """Whether the message says itself that it answers the turn before."""
    if not inbound.references or not telemetry.is_set_up():
        return "previous_turn"
    try:
        finished = [m for m in context.messages if m.disposition != "pending"]
    except CorruptRecord:
        return "previous_turn"  # that is told where somebody wants to read it
    last = {m.message_id for m in finished if m.turn == finished[-1].turn and m.message_id}
    return "previous_turn" if last.isdisjoint(inbound.references) else "in_reply_to"


def describe(
    span: TurnSpan,
    opened: Opened,
    status: str,
    inquiry: Inquiry,
    written: Sequence[Message],
    said: Sequence[Message],
) -> None:
    """Tell what became of a turn: of the messages that it answers, and of what it says."""
    attributes: dict[str, str | int] = {
        names.TURN_STATUS: status,
        names.TURN_SEQ: opened.seq,
        names.ASSURANCE: int(inquiry.inbound.assurance),
        names.REPLIES: len(said),
        names.MESSAGING_ID: opened.turn.hex(),
    }
    decision = inquiry.decision
    if decision is not None and status == "new":
        attributes |= {
            names.STAGE: decision.stage,
            names.DISPOSITION: inquiry.disposition,
            names.DECISION_ACTION: decision.action,
            names.DECISION_ENFORCED: decision.enforced,
            names.DECISION_CODE: decision.code,
        }
        objections = telemetry.objections(decision)
        if objections:
            span.event(names.GUARDS_EVENT, objections)
    span.describe(attributes)
    span.say(names.INPUT_MESSAGES, [("user", m.text) for m in written if m.visible])
    span.say(names.OUTPUT_MESSAGES, [("assistant", m.text) for m in said])


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
