"""How a turn comes by its lease: claim, and wait while another turn of the conversation runs."""

from typing import TYPE_CHECKING, Any

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry
from ctxbridge.errors import Busy, IdempotencyMismatch
from ctxbridge.model import Claim, Consent, Opened
from ctxbridge.wire.keys import content_digest

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.005, 0.05


async def open_turn(bridge: "Bridge[Any]", inquiry: Inquiry, content: bytes) -> Opened:
    """Open a turn for the message that `inquiry` is about; the same claim may be repeated.

    Raises `Busy` if the lease is not free within the bridge's `wait_seconds`, `IdempotencyMismatch`
    if the message's id is known with another body, and `StoreError`.
    """
    claim = _claim(bridge, inquiry, content_digest(bridge.tenant, content))
    opened = await bridge.store.open(claim)
    if opened.status == "mismatch":
        claim = _claim_beside(claim, inquiry)
        opened = await bridge.store.open(claim)
    if opened.status == "mismatch":
        raise IdempotencyMismatch("this message id is known with another body")
    return opened if opened.status != "busy" else await _wait(bridge, claim, opened)


async def _wait(bridge: "Bridge[Any]", claim: Claim, opened: Opened) -> Opened:
    assert opened.context.contact is not None
    lines, pause = bridge.lines, _FIRST_WAIT_SECONDS
    ticket = lines.join(opened.context.contact.id)
    try:
        with anyio.move_on_after(bridge.wait_seconds):
            while True:
                await lines.wait(ticket, pause)
                opened = await bridge.store.open(replace(claim, now=bridge.clock.now()))
                if opened.status != "busy":
                    return opened
                pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
    finally:
        lines.leave(ticket)
    raise Busy("another turn of this conversation is running; the message is stored")


def _claim(bridge: "Bridge[Any]", inquiry: Inquiry, digest: bytes) -> Claim:
    inbound, now, turn = inquiry.inbound, bridge.clock.now(), bridge.ids.new()
    wish = inquiry.consent
    consents: tuple[Consent, ...] = ()
    if wish:
        consents = (Consent(wish.channel, "all", wish.granted, now, inbound.message_id),)
    return Claim(
        bridge.tenant,
        inbound.endpoint,
        inbound.sender,
        inquiry.message(turn, now, "pending"),
        digest,
        turn,
        bridge.ids.new(),
        bridge.ids.new(),
        now,
        inbound.assurance,
        consents,
        bridge.lease_seconds,
        max(bridge.remember_seconds, inbound.horizon_seconds),
        bridge.window,
    )


def _claim_beside(claim: Claim, inquiry: Inquiry) -> Claim:
    """Senders choose their mails' ids, some badly: such a mail is kept beside, and flagged."""
    inbound = inquiry.inbound
    if inbound.id_source != "sender":
        raise IdempotencyMismatch(
            "this message id is known with another body; the stored message stays"
        )
    id = f"{inbound.message_id}#{claim.digest.hex()}"
    flags = (*inbound.flags, "id_reused")
    inquiry.inbound = replace(inbound, message_id=id, flags=flags)
    return replace(claim, message=replace(claim.message, message_id=id, flags=flags))
