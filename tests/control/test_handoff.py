"""A control and a colleague: what stops an agent does not stop a person, and hands over properly."""

import pytest

from ctxbridge.bridge.floor import NOBODY_CAME
from ctxbridge.model import Scope
from tests.bridge.conftest import SENDERS, write

SMS = SENDERS["sms"]


async def test_what_a_rollback_hands_over_is_an_offer_that_stands(deploy, pigeon, clock):
    async with deploy() as bridge:
        await bridge.control.promote("support", "v12")
        turn = bridge.turn(write("hello"))
        async with turn:
            await bridge.control.rollback(
                "support", to="v11", running="handoff", within_seconds=0.01
            )
            turn.reply("too late")
        offer = await bridge.floor.show(SMS)
        assert (offer.floor, offer.reason, offer.by) == (
            "queue", "release.rolled_back", "control",
        )  # fmt: skip
        clock.time += 86_400_000
        await bridge.floor.sweep()
        taken = await bridge.floor.accept(SMS, by="ann", epoch=offer.epoch)
        assert (taken.holder, pigeon.texts) == ("ann", [])


@pytest.mark.parametrize("scope", [Scope(), Scope(agent="support")], ids=["tenant", "agent"])
async def test_an_offer_ends_behind_a_pause_and_who_waits_is_told_then(
    deploy, pigeon, clock, scope
):
    async with deploy() as bridge:
        await _offered_and_over(bridge, clock, bridge.control.pause, scope)
        assert (await bridge.floor.show(SMS)).step == "offered"
        assert pigeon.texts == ["v11: hello"]
        await bridge.control.resume(scope)
        clock.time += 5_000
        await bridge.floor.sweep()
        assert (await bridge.floor.show(SMS)).step == "expired"
        assert pigeon.texts == ["v11: hello", NOBODY_CAME]


async def test_an_offer_ends_though_it_was_killed_and_nothing_is_said(deploy, pigeon, clock):
    async with deploy() as bridge:
        await _offered_and_over(bridge, clock, bridge.control.kill, Scope())
        assert (await bridge.floor.show(SMS)).step == "expired"
        assert pigeon.texts == ["v11: hello"]


async def test_a_colleague_comes_late_while_all_stands_still(deploy, pigeon, clock):
    async with deploy() as bridge:
        await _offered_and_over(bridge, clock, bridge.control.pause, Scope())
        assert (await bridge.floor.accept(SMS, by="ann")).holder == "ann"
        assert pigeon.texts == ["v11: hello"]


async def _offered_and_over(bridge, clock, halt, scope):
    await bridge.control.promote("support", "v11")
    await bridge.answer(write("hello"), bridge.deployed)
    await bridge.floor.offer(SMS, reason="refund", within_seconds=60)
    await halt(scope)
    clock.time += 60_000
    await bridge.floor.sweep()
