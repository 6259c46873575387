"""The package of a handoff: what is in it, and that it stays bounded."""

import json
from pathlib import Path

import msgspec
import pytest

from ctxbridge import Attachment, Text, errors
from ctxbridge.model import Package, Sent, ToolCall

from .conftest import SENDERS, exchange, write
from .test_guards import Pigeon

SMS, MAIL = SENDERS["sms"], SENDERS["email"]
SCHEMA = Path(__file__).parents[2] / "docs/handoff.schema.json"


def without_words(schema):
    if isinstance(schema, dict):
        return {k: without_words(v) for k, v in schema.items() if k != "description"}
    return [without_words(v) for v in schema] if isinstance(schema, list) else schema


def test_its_schema_is_the_one_that_is_published():
    """A helpdesk is built on it: a change is to be seen, and a new meaning needs a new version."""
    made = json.loads(json.dumps(without_words(msgspec.json.schema(Package))))
    assert made == json.loads(SCHEMA.read_text())


async def test_it_has_all_channels_and_no_work_of_agents(bridge):
    async with bridge.turn(write("where is it?", parts=(Text("where is it?"), Attachment("image/png", "a.png")))) as turn:  # fmt: skip
        turn.keep(ToolCall("1", "look_up", "{}"))
        turn.state.order = "A-17"
        turn.reply("on its way")
    await bridge.link(SMS, MAIL, evidence="crm:1")
    await exchange(bridge, write("and by mail", "email"), "yes")
    package = await bridge.floor.package(SMS)
    assert [(m.author, m.channel, m.text, m.files) for m in package.messages] == [
        ("contact", "sms", "where is it?", ("a.png",)), ("agent", "sms", "on its way", ()),
        ("contact", "email", "and by mail", ()), ("agent", "email", "yes", ()),
    ]  # fmt: skip
    assert {(a.address, a.assurance) for a in package.addresses} == {
        (str(SMS), "channel"), (str(MAIL), "authenticated"),
    }  # fmt: skip
    assert (package.state, package.earlier) == ({"order": "A-17", "turns": 0}, 0)
    assert msgspec.json.decode(msgspec.json.encode(package), type=Package) == package


async def test_what_was_blocked_or_withheld_is_not_in_it(bridge):
    async with bridge.turn(write("hello")) as turn:
        turn.reply("never sent")
        await bridge.consent(SMS, granted=False, evidence="call:1")
    assert [m.text for m in (await bridge.floor.package(SMS)).messages] == ["hello"]


async def test_it_is_the_newest_and_says_how_many_are_missing(bridge):
    for number in range(6):
        await exchange(bridge, write(f"{number}"))
    package = await bridge.floor.package(SMS, messages=3)
    assert [m.text for m in package.messages] == ["re: 4", "5", "re: 5"]
    assert package.earlier == 9


async def test_texts_take_64_kib_and_what_is_cut_is_said(another):
    bridge = await another(guards=[])
    for _ in range(3):
        await exchange(bridge, write("ä" * 20_000), "ok")
    messages = (await bridge.floor.package(SMS)).messages
    assert sum(len(m.text.encode()) for m in messages) <= 64 * 1024
    assert [(m.author, m.cut) for m in messages] == [
        ("contact", True), ("agent", False), ("contact", False), ("agent", False),
    ]  # fmt: skip


async def test_the_largest_is_bounded(another, clock):
    """With each field at its limit, in characters of three bytes, and a state that just fits."""
    bridge = await another(guards=[])
    async with bridge.turn(write("€" * 60_000)) as turn:
        turn.state.order = '"' * 40_000
        turn.reply("€" * 60_000)
        turn.hand_over(
            "€" * 200, to="€" * 100, summary="€" * 4_000, promised=["€" * 500] * 20,
            otherwise="€" * 1_000,
        )  # fmt: skip
    package = await bridge.floor.package(SMS)
    size = len(msgspec.json.encode(package))
    print(f"the largest package: {size} bytes")
    assert package.state is None
    assert package.state_cut, "escaped, it is over 64 KiB"
    assert size < 256 * 1024


async def test_it_tells_what_has_not_left(another):
    pigeon = Pigeon()
    pigeon.says = Sent("retry")
    bridge = await another(senders=[pigeon])
    await exchange(bridge, write("hello"), "hi")
    package = await bridge.floor.package(SMS)
    assert [(d.seq, d.status) for d in package.deliveries] == [(2, "pending")]


@pytest.mark.parametrize("messages", [0, -1, 201])
async def test_another_number_of_messages_is_refused(bridge, messages):
    await exchange(bridge, write("hello"))
    with pytest.raises(errors.UsageError):
        await bridge.floor.package(SMS, messages=messages)
