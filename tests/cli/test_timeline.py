"""How a timeline is laid out, and what the agent of the demo says."""

import pytest

from ctxbridge import Bridge
from ctxbridge.cli import output, timeline
from ctxbridge.cli.agent import Ticket, answer, no_promises
from ctxbridge.cli.timeline import Row
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Contact,
    Context,
    Endpoint,
    Event,
    Inbound,
    Message,
    Text,
    Window,
)

ANN = Address("sms", "+15550100142")


def contact_says(text: str, turn: int = 1, **more: object) -> Message:
    return Message(
        bytes([turn]) * 16, "contact", "sms", (Text(text),), 1_793_611_896_000, address=ANN,
        assurance=Assurance.CHANNEL, **more,
    )  # fmt: skip


def context_of(*entries: Message | Event) -> Context:
    window = Window(entries, range(1, len(entries) + 1))
    return Context(Contact(bytes(16)), bytes(16), window)


def lines(context: Context, columns: int = 100, *, colours: bool = False) -> list[str]:
    return list(timeline.render(timeline.rows(context), columns, colours=colours))


class TestRender:
    def test_what_a_customer_writes_cannot_steer_the_terminal(self) -> None:
        hostile = "\x1b[2J\x1b]0;title\x07 \u202egnp.exe \x9b31m\r\b\ud800"
        attached = Attachment("image/png", "\x1b[31m.png")
        said = contact_says(hostile)
        said = Message(said.turn, "contact", "\x1b[1m", (*said.parts, attached), 0)

        text = "\n".join(lines(context_of(said)))

        assert not set(text) & set("\x1b\x07\u202e\x9b\r\b\ud800")
        assert "(attached: �[31m.png)" in text

    def test_wide_characters_keep_the_columns(self) -> None:
        text = "注文した商品がまだ届きません。" * 5

        for columns in (60, 100):
            shown = lines(context_of(contact_says(text)), columns)
            assert max(map(output.cells, shown)) <= columns
            assert "".join(line[timeline.LEFT :].partition("  ")[0] for line in shown[1:]) == text
        # Combining marks and joiners take no room.
        assert (output.cells("e\u0301"), output.cells("a\u200db")) == (1, 2)

    def test_a_long_word_is_broken(self) -> None:
        shown = lines(context_of(contact_says("x" * 300)), 60)

        assert max(map(len, shown)) == 60

    def test_colours_are_the_same_text(self) -> None:
        context = context_of(contact_says("Hello"), contact_says("There", 2))

        coloured = "\n".join(lines(context, colours=True))

        assert "\x1b[" in coloured
        for code in ("1", "2", "0"):
            coloured = coloured.replace(f"\x1b[{code}m", "")
        plain = "\n".join(lines(context))
        assert [w for w in coloured.split() if w] == plain.split()

    def test_each_day_has_a_headline(self) -> None:
        day = 86_400_000
        shown = [Row(n * day, "SMS", "customer", "Hi") for n in (0, 0, 1)]

        heads = [x for x in timeline.render(shown, 100, colours=False) if x.endswith("UTC")]

        assert heads == ["Thursday 01 January 1970, UTC", "Friday 02 January 1970, UTC"]

    def test_events_and_odd_messages_have_their_words(self) -> None:
        entries = (
            Event("link", 0, data=(("channel", "email"), ("evidence", "crm:1"))),
            Event("consent", 0, b"", (("channel", "sms"), ("granted", "no"))),
            contact_says("Anybody?", 2),
            Event("consent", 0, b"", (("channel", "sms"), ("granted", "yes"))),
            contact_says("", 3, disposition="pending"),
            Event("state.not_saved", 0),
            Event("something.new", 0),
        )

        found = [(row.text, row.note) for row in timeline.rows(context_of(*entries))]

        assert found == [
            ("linked to the contact (crm:1)", ""),
            ("opted out", ""),
            ("Anybody?", "no answer: opted out"),
            ("opted in", ""),
            ("(nothing written)", "pending"),
            ("the sender may not change the state: not saved", ""),
            ("something.new", ""),
        ]


@pytest.mark.parametrize(
    ("terminal", "env", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, env: dict[str, str], expected: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)

    assert output.colourful() is expected


class TestAgent:
    def answers(self, *said: str, ticket: Ticket | None = None) -> list[str]:
        ticket = ticket if ticket is not None else Ticket()
        return [answer(context_of(contact_says(text)), ticket) for text in said]

    def test_it_asks_for_the_order_and_then_knows_it(self) -> None:
        first, second, third = self.answers("Hello", "It is a-1077", "And now?")

        assert first == "Which order is it about? The number looks like A-1042."
        assert "linen curtain (order A-1077)" in second
        assert third == second

    def test_a_number_that_is_no_order_is_asked_about(self) -> None:
        assert self.answers("order A-9999?")[0].startswith("Which order")

    def test_four_digits_are_enough(self) -> None:
        ticket = Ticket()

        *_, refund, paid = self.answers("A-1042", "refund please", "it ends in 4242", ticket=ticket)

        assert "which you asked about" not in refund
        assert paid == "Thank you. 64.00 EUR go to the card ending in 4242."
        assert (ticket.refund, ticket.card) == ("paid", "4242")

    async def test_its_promise_never_leaves(self) -> None:
        ours = Endpoint("sms", "+15550100199")

        def inbound(id: str, text: str) -> Inbound:
            return Inbound("sms", ours, ANN, id, (Text(text),), Assurance.CHANNEL)

        async with Bridge("memory://", tenant="t", state=Ticket, guards=[no_promises]) as bridge:
            for n, text in enumerate(("A-1042", "money back", "Do you promise?")):
                async with bridge.turn(inbound(str(n), text)) as turn:
                    turn.reply(answer(turn.context, turn.state))

        assert [(m.author, m.text) for m in turn.answer] == [
            ("system", "I cannot promise a day, as the bank decides. Three working days are usual.")
        ]


def test_a_split_leaves_no_rows_where_entries_were(tmp_path):
    """What went along with a split, or was erased, has left its place in the log and no more."""
    import anyio

    from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
    from ctxbridge.cli.timeline import render, rows

    async def told():
        async with Bridge("memory://", tenant="acme") as bridge:
            for number, channel in enumerate(("sms", "email")):
                who = Address(channel, f"customer-{number}")
                inbound = Inbound(
                    channel, Endpoint(channel, "us"), who, f"m{number}", (Text(channel),), Assurance.CHANNEL
                )  # fmt: skip
                async with bridge.turn(inbound) as turn:
                    turn.reply("ok")
            await bridge.merge("sms:customer-0", "email:customer-1", evidence="a clerk")
            merged = rows(await bridge.context("sms:customer-0", window=0))
            await bridge.split("sms:customer-0", evidence="the clerk")
            return merged, rows(await bridge.context("sms:customer-0", window=0))

    merged, split = anyio.run(told)
    assert all(row.text for row in merged)
    assert [row.text for row in split if row.text][-2:] == ["merge", "split"]
    shown = "\n".join(render(split, 100, colours=False))
    assert len(split) == 6
    assert "moved" not in shown
    assert "Thursday 01 January 1970" not in shown
