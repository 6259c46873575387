"""A reply that is shown while it is written, where the channel can, and judged all the same."""

from contextlib import aclosing

import anyio
import pytest

from ctxbridge import Bridge, errors, guards
from ctxbridge.bridge.streaming import HOLD_BACK_CHARACTERS
from ctxbridge.model import Sent

from .conftest import SENDERS, write

WORDS = "It is on its way and will reach you on Wednesday. " * 12


class Screen:
    """A channel that shows drafts."""

    channel, repeatable, timeout_seconds, per_second = "chat", True, 5.0, 0.0

    def __init__(self):
        self.shown, self.sent = [], []

    async def show(self, outgoing):
        self.shown.append((outgoing.key, outgoing.text))

    async def send(self, outgoing):
        self.sent.append((outgoing.key, outgoing.text))
        return Sent("sent", provider_id=outgoing.key)

    async def aclose(self):
        pass


class Paper(Screen):
    """One that cannot."""

    show = None


async def chunks(text=WORDS, size=7):
    for start in range(0, len(text), size):
        await anyio.lowlevel.checkpoint()
        yield text[start : start + size]


async def stream(bridge, source=None, text="tell me"):
    async with bridge.turn(write(text, "chat")) as turn:
        await turn.stream(source or chunks())
    return [m.text for m in turn.said]


async def test_drafts_grow_and_the_reply_replaces_them_under_the_same_key():
    screen = Screen()
    async with Bridge("memory://", tenant="t", senders=[screen]) as bridge:
        assert await stream(bridge) == [WORDS]
    assert screen.sent == [(screen.shown[0][0], WORDS)]
    texts = [text for _, text in screen.shown]
    assert len(texts) > 5
    assert all(WORDS.startswith(t) and t for t in texts)
    assert [len(t) for t in texts] == sorted({len(t) for t in texts})
    assert max(map(len, texts)) <= len(WORDS) - HOLD_BACK_CHARACTERS + 32


@pytest.mark.parametrize("senders", [[], [Paper()]])
async def test_a_channel_that_cannot_show_drafts_gets_the_whole(senders):
    async with Bridge("memory://", tenant="t", senders=senders) as bridge:
        assert await stream(bridge) == [WORDS]


async def test_nothing_is_shown_that_the_guards_would_mask_or_block():
    card = WORDS[:300] + "Your card 4111 1111 1111 1111 is charged. " + WORDS

    @guards.guard("reply", name="no_refund")
    def no_refund(check):
        return guards.block("refund") if "refund" in check.text else guards.allow()

    for text, which in [(card, [guards.pii()]), (WORDS + "refund " + WORDS, [no_refund])]:
        screen = Screen()
        async with Bridge("memory://", tenant="t", senders=[screen], guards=which) as bridge:
            said = await stream(bridge, chunks(text))
        shown = "".join(t for _, t in screen.shown)
        assert "4111" not in shown
        assert "refund" not in shown
        if which == [no_refund]:
            assert said == []
            assert screen.shown[-1][1] == ""
            assert screen.sent == []


async def test_without_judging_what_is_shown_it_would_have_leaked(monkeypatch):
    """The negative control."""
    from ctxbridge.bridge import streaming

    monkeypatch.setattr(streaming, "HOLD_BACK_CHARACTERS", 0)
    text = WORDS + "4111 1111 1111 1111"
    screen = Screen()
    async with Bridge("memory://", tenant="t", senders=[screen], guards=[]) as bridge:
        await stream(bridge, chunks(text, 64))
    assert "4111" in "".join(t for _, t in screen.shown)


async def test_a_source_that_fails_takes_its_draft_back():
    async def broken():
        async for chunk in chunks():
            yield chunk
        raise ZeroDivisionError

    screen = Screen()
    async with Bridge("memory://", tenant="t", senders=[screen]) as bridge:
        with pytest.raises(ZeroDivisionError):
            await stream(bridge, broken())
        assert (screen.shown[-1][1], screen.sent) == ("", [])
        (message,) = (await bridge.context(SENDERS["chat"])).messages
        assert message.disposition == "pending"


async def test_a_turn_that_is_superseded_stops_showing():
    screen = Screen()
    async with Bridge("memory://", tenant="t", senders=[screen], overlap="supersede") as bridge:

        async def slow():
            async with aclosing(chunks()) as source:
                async for chunk in source:
                    yield chunk
                    await anyio.sleep(0.01)

        async with anyio.create_task_group() as group:
            group.start_soon(stream, bridge, slow(), "one")
            with anyio.fail_after(30):
                while not screen.shown:  # noqa: ASYNC110 - nothing tells of it
                    await anyio.sleep(0.01)
            assert await stream(bridge, None, "two") == [WORDS]
    first = screen.shown[0][0]
    assert [text for key, text in screen.shown if key == first][-1] == ""
    assert [key for key, _ in screen.sent] != [first]
    assert len(screen.sent) == 1


@pytest.mark.parametrize("hinders", ["raises", "hangs"])
async def test_a_draft_that_cannot_be_shown_hinders_nothing(hinders, monkeypatch):
    from ctxbridge.bridge import streaming

    class Broken(Screen):
        async def show(self, outgoing):
            if hinders == "raises":
                raise ZeroDivisionError
            await anyio.sleep_forever()

    monkeypatch.setattr(streaming, "_SHOW_SECONDS", 0.01)
    screen = Broken()
    async with Bridge("memory://", tenant="t", senders=[screen]) as bridge:
        assert await stream(bridge) == [WORDS]
    assert [text for _, text in screen.sent] == [WORDS]


@pytest.mark.parametrize("wrong", [[7], [b"x"], ["x" * 70_000], []])
async def test_what_cannot_be_a_reply_is_refused(wrong):
    async def source():
        for chunk in wrong:
            yield chunk

    async with Bridge("memory://", tenant="t", senders=[Screen()]) as bridge:
        with pytest.raises(errors.UsageError):
            await stream(bridge, source())


class TestTheGate:
    """A draft is no way round the gate: what must not leave is not shown, or taken back."""

    @pytest.mark.parametrize("event", ["consent", "takeover"])
    async def test_nothing_more_is_shown_once_it_is_closed(self, event):
        from ctxbridge.model import Floor
        from tests.faults.interruptions import moved

        screen = Screen()
        async with Bridge("memory://", tenant="t", senders=[screen]) as bridge:
            shown = 0

            async def source():
                nonlocal shown
                async for chunk in chunks():
                    yield chunk
                    if len(screen.shown) == 3 and not shown:
                        shown = 3
                        if event == "consent":
                            await bridge.consent(SENDERS["chat"], granted=False, evidence="call:1")
                        else:
                            home = bridge.store._addresses["t", SENDERS["chat"]]
                            home.head = moved(home.head, Floor.HUMAN)
                            home.views.clear()

            await stream(bridge, source())
        assert shown == 3
        assert [text for _, text in screen.shown[3:]] == [""]
        assert screen.sent == []

    async def test_what_is_withheld_when_it_is_whole_is_taken_back(self):
        @guards.guard("reply", name="end")
        def end(check):
            return guards.block("end") if check.text.endswith("END") else guards.allow()

        screen = Screen()
        async with Bridge("memory://", tenant="t", senders=[screen], guards=[end]) as bridge:
            assert await stream(bridge, chunks(WORDS + "END", size=600)) == []
            assert await stream(bridge, chunks(WORDS + "END", size=7)) == []
        assert screen.sent == []
        for key in {key for key, _ in screen.shown}:
            assert [text for k, text in screen.shown if k == key][-1] == ""

    async def test_a_turn_that_fails_later_takes_its_draft_back(self):
        screen = Screen()
        async with Bridge("memory://", tenant="t", senders=[screen]) as bridge:
            with pytest.raises(ZeroDivisionError):
                async with bridge.turn(write("tell me", "chat")) as turn:
                    await turn.stream(chunks())
                    raise ZeroDivisionError
        assert (screen.shown[-1][1], screen.sent) == ("", [])

    @pytest.mark.parametrize("blocks", [True, False])
    async def test_nothing_is_shown_before_a_judge_beside_the_agent_has_spoken(self, blocks):
        spoken = anyio.Event()

        @guards.guard("inbound", name="slow", overlap=True, deadline_seconds=5.0)
        async def slow(check):
            await spoken.wait()
            return guards.block("attack") if blocks else guards.allow()

        screen = Screen()
        async with Bridge("memory://", tenant="t", senders=[screen], guards=[slow]) as bridge:

            async def source():
                async for chunk in chunks():
                    yield chunk
                assert screen.shown == []
                spoken.set()
                await anyio.sleep(0.02)
                async for chunk in chunks():
                    yield chunk

            said = await stream(bridge, source())
        assert said == ([] if blocks else [WORDS * 2])
        assert bool(screen.shown) == (not blocks)

    async def test_a_sender_says_how_much_is_held_back(self):
        screen = Screen()
        screen.hold_back_characters = 400
        async with Bridge("memory://", tenant="t", senders=[screen]) as bridge:
            await stream(bridge)
        assert max(len(text) for _, text in screen.shown) <= len(WORDS) - 400
