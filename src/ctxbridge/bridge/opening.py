"""How a turn comes by its lease: claim, and wait while another turn of the conversation runs."""

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry
from ctxbridge.errors import BacklogFull, Busy, IdempotencyMismatch
from ctxbridge.model import Change, Claim, Consent, Opened, Query
from ctxbridge.rules.consent import words_of
from ctxbridge.wire.keys import content_digest

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

logger = logging.getLogger("ctxbridge")

_LOOK_AGAIN_SECONDS = 1.0
"""A turn that ends is told by the store; one whose worker died is found out by asking again."""


async def claim_turn(
    bridge: "Bridge[Any]", inquiry: Inquiry, content: bytes, resumes: int = 0
) -> tuple[Claim, Opened]:
    """Store the message that `inquiry` is about, and take the lease if it is free.

    The same claim may be repeated, see `wait_for_turn`. With `resumes`, the message that waits at
    that place is taken up, if nobody else has it.

    Raises `Busy` if the channel rejects what overlaps, or somebody else took it up, `BacklogFull`,
    `IdempotencyMismatch` if the message's id is known with another body, and `StoreError`.
    """
    claim = _claim(bridge, inquiry, content_digest(bridge.tenant, content), resumes)
    opened = await bridge.store.open(claim)
    if opened.status == "mismatch":
        claim = await _claim_beside(bridge, claim, inquiry)
        opened = await bridge.store.open(claim)
    if opened.status == "mismatch":
        raise IdempotencyMismatch("this message id is known with another body")
    if opened.status == "rejected":
        raise Busy("another turn is running, and this channel takes one message at a time")
    if opened.status == "full":
        logger.warning("a message was refused: too many of its conversation wait")
        raise BacklogFull("too many messages of this conversation wait; this one was not stored")
    if opened.status == "busy" and resumes:
        raise Busy("another turn of this conversation is running; the message waits")
    return claim, opened


async def wait_for_turn(bridge: "Bridge[Any]", claim: Claim, opened: Opened) -> Opened:
    """What becomes of a message that is stored and waits for another turn to end.

    Raises `Busy` if the lease is not free within the bridge's `wait_seconds`, and `StoreError`.
    """
    assert opened.context.contact is not None
    lines, clock = bridge.lines, bridge.clock
    claim = replace(claim, overlap="queue")
    ticket = lines.join(opened.context.contact.id)
    try:
        with anyio.move_on_after(bridge.settings.wait_seconds):
            while opened.status == "busy":
                await lines.wait(ticket, partial(_turn_ends, bridge, claim, opened.fence))
                opened = await bridge.store.open(replace(claim, now=clock.now()))
            return opened
    finally:
        lines.leave(ticket)
    raise Busy("another turn of this conversation is running; the message is stored")


async def _turn_ends(bridge: "Bridge[Any]", claim: Claim, fence: int) -> None:
    """Return when the turn that is running has ended, or it is time to ask again."""
    query = Query(
        claim.tenant, claim.address, claim.assurance, window=1, fresh=True, held_by=fence,
        patience_seconds=_LOOK_AGAIN_SECONDS,
    )  # fmt: skip
    await bridge.store.read(query)


def _claim(bridge: "Bridge[Any]", inquiry: Inquiry, digest: bytes, resumes: int) -> Claim:
    inbound, settings = inquiry.inbound, bridge.settings
    now, turn, wish = settings.clock.now(), settings.ids.new(), inquiry.consent
    consents: tuple[Consent, ...] = ()
    if wish:
        consents = words_of(wish, inbound.sender, now, inbound.message_id)
    mode = settings.overlap_on(inbound.channel).mode
    return Claim(
        bridge.tenant,
        inbound.endpoint,
        inbound.sender,
        inquiry.message(turn, now, inquiry.disposition if inbound.revises else "pending"),
        digest,
        turn,
        settings.ids.new(),
        settings.ids.new(),
        now,
        inbound.assurance,
        consents,
        0.0 if inbound.revises else settings.lease_seconds,
        max(settings.remember_seconds, inbound.horizon_seconds),
        settings.window,
        "queue" if mode == "merge" else mode,
        settings.backlog,
        resumes,
        settings.access,
        bridge.steering.epoch,
    )


async def _claim_beside(bridge: "Bridge[Any]", claim: Claim, inquiry: Inquiry) -> Claim:
    """Senders choose their mails' ids, some badly: such a mail is kept beside, and flagged.

    A provider's own id with another body is a fault or a forgery: it is kept aside, and reported.
    """
    inbound = inquiry.inbound
    id = f"{inbound.message_id}#{claim.digest.hex()}"
    flags = (*inbound.flags, "id_reused")
    claim = replace(claim, message=replace(claim.message, message_id=id, flags=flags))
    if inbound.id_source != "sender":
        await _keep_aside(bridge, claim)
        raise IdempotencyMismatch(
            "this message id is known with another body; the stored message stays"
        )
    inquiry.inbound = replace(inbound, message_id=id, flags=flags)
    return claim


async def _keep_aside(bridge: "Bridge[Any]", claim: Claim) -> None:
    """Store the message where no model sees it, in the log of who sent it, once.

    Somebody never heard of before, with an id that is known, gets no log by that.
    """
    logger.error("a message id came again with another body; it is kept aside, and not answered")
    query = Query(claim.tenant, claim.address, claim.assurance, window=1)
    contact = (await bridge.store.read(query)).contact
    if contact is None:
        return
    kept = replace(claim.message, disposition="quarantined", turn=claim.digest)
    change = Change(claim.tenant, contact.id, claim.digest, claim.now, append=(kept,))
    await bridge.store.commit(change)
