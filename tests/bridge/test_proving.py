"""Codes: made for one claim, sent to the claimed address, good once, for five guesses, for ten minutes."""

import time
from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, errors
from ctxbridge.bridge import Challenge, Proof, code_in, proving
from ctxbridge.model import RecordWrite, Sent

from .conftest import ENDPOINTS, SENDERS, Ticket, exchange, write
from .test_guards import Pigeon

CHAT, MAIL, SMS = SENDERS["chat"], SENDERS["email"], SENDERS["sms"]
MINUTE, HOUR = 60_000, 3_600_000
SURE = Assurance.CHANNEL


def other_than(code, number=1):
    """A code that is not this one."""
    return f"{(int(code) + number) % 10 ** len(code):0{len(code)}d}"


class Between:
    """The store, with a pause before each step; counts them. `swaps=False` forgets the revisions."""

    def __init__(self, store, *, swaps=True):
        self.store, self.swaps, self.steps, self.fails = store, swaps, Counter(), None

    async def _step(self, verb, value):
        self.steps[verb] += 1
        await anyio.lowlevel.checkpoint()
        if self.fails == verb:
            self.fails = None
            raise errors.Unavailable("not now")
        return await getattr(self.store, verb)(value)

    async def open(self, value, /):
        return await self._step("open", value)

    async def read(self, value, /):
        return await self._step("read", value)

    async def commit(self, value, /):
        return await self._step("commit", value)

    async def identify(self, value, /):
        return await self._step("identify", value)

    async def deliver(self, value, /):
        return await self._step("deliver", value)

    async def scan(self, value, /):
        return await self._step("scan", value)

    async def erase(self, value, /):
        return await self._step("erase", value)

    async def records(self, value, /):
        if not self.swaps and isinstance(value, RecordWrite):
            value = replace(value, revision=None)
        return await self._step("records", value)

    async def check(self):
        return await self.store.check()

    async def aclose(self):
        pass


@pytest.fixture
def between(bridge, clock):
    """Makes a bridge whose steps can be counted and come between those of others."""

    def make(tenant="acme", swaps=True, **options):
        store = Between(bridge.store, swaps=swaps)
        return Bridge(store, tenant=tenant, state=Ticket, clock=clock, **options)

    return make


@pytest.fixture
async def chatting(bridge):
    """Somebody writes in the chat, and says that the mailbox is theirs."""
    await exchange(bridge, write("hello, I am ann@example.org", channel="chat"))
    return bridge


@pytest.fixture
def compared(monkeypatch):
    """Every comparison that is made."""
    made, real = [], proving.is_any

    def is_any(found, expected):
        made.append(found)
        return real(found, expected)

    monkeypatch.setattr(proving, "is_any", is_any)
    return made


async def statuses(bridge, *codes, address=CHAT):
    return [(await bridge.prove(address, code, assurance=SURE)).status for code in codes]


class TestRight:
    async def test_it_links_the_claimed_address(self, chatting, clock):
        made = await chatting.challenge(MAIL, to=CHAT)
        assert (made.claimed, made.expires_at) == (MAIL, clock.time + 10 * MINUTE)
        assert len(made.code) == 6
        assert made.code.isdigit()
        proof = await chatting.prove(
            CHAT, f"it is {made.code[:3]} {made.code[3:]}.", assurance=SURE
        )
        assert (proof.status, proof.contact.addresses) == ("linked", (CHAT, MAIL))
        link = proof.contact.link_to(MAIL)
        assert (link.assurance, link.evidence, link.source) == (Assurance.VERIFIED, "code", "code")
        found = await chatting.context(MAIL)
        assert found.messages[0].text == "hello, I am ann@example.org"

    async def test_it_is_good_once(self, chatting):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        assert await statuses(chatting, code, code, other_than(code)) == [
            "linked",
            "used_up",
            "used_up",
        ]

    @pytest.mark.parametrize("digits", [6, 8, 10])
    async def test_it_has_as_many_digits_as_are_asked_for(self, chatting, digits):
        code = (await chatting.challenge(MAIL, to=CHAT, digits=digits)).code
        assert len(code) == digits
        assert await statuses(chatting, code[:-1], code) == ["wrong", "linked"]

    async def test_twenty_that_use_it_at_once_link_once(self, chatting, between):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        bridges, said = [between() for _ in range(20)], []

        async def use(one):
            said.extend(await statuses(one, code))

        async with anyio.create_task_group() as group:
            for one in bridges:
                group.start_soon(use, one)
        assert Counter(said) == {"linked": 1, "used_up": 19}
        assert sum(one.store.steps["identify"] for one in bridges) == 1
        entries = (await chatting.context(CHAT, window=0)).window
        assert [getattr(e, "kind", "") for e in entries].count("link") == 1

    async def test_an_address_with_a_history_elsewhere_is_taken_and_the_code_used_up(
        self, chatting
    ):
        await exchange(chatting, write("hi", channel="email"))
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        with pytest.raises(errors.AddressTaken):
            await chatting.prove(CHAT, code, assurance=SURE)
        assert await statuses(chatting, code) == ["used_up"]
        assert (await chatting.context(MAIL)).contact.addresses == (MAIL,)

    async def test_a_link_that_was_weaker_is_raised(self, chatting):
        await chatting.link(CHAT, MAIL, evidence="typed", assurance=Assurance.CLAIMED)
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        proof = await chatting.prove(CHAT, code, assurance=SURE)
        assert proof.contact.link_to(MAIL).assurance is Assurance.VERIFIED

    async def test_where_the_store_fails_at_the_link_the_code_is_given_back(
        self, chatting, between
    ):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        failing = between()
        failing.store.fails = "identify"
        with pytest.raises(errors.Unavailable):
            await failing.prove(CHAT, code, assurance=SURE)
        assert await statuses(chatting, code) == ["linked"]

    async def test_a_code_that_cannot_be_given_back_stays_used_up(self, chatting, between, caplog):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        failing = between()
        real = failing.store.identify

        async def identify(value, /):
            failing.store.fails = "identify"
            try:
                return await real(value)
            finally:
                failing.store.fails = "records"

        failing.store.identify = identify
        with pytest.raises(errors.Unavailable):
            await failing.prove(CHAT, code, assurance=SURE)
        assert await statuses(chatting, code) == ["used_up"]
        assert code not in caplog.text

    async def test_a_stranger_is_founded_by_writing_and_not_by_a_code(self, bridge):
        code = (await bridge.challenge(MAIL, to=CHAT)).code
        with pytest.raises(errors.UnknownContact):
            await bridge.prove(CHAT, code, assurance=SURE)
        await exchange(bridge, write("hello", channel="chat"))
        assert await statuses(bridge, code) == ["linked"]


class TestWrong:
    async def test_after_five_guesses_the_right_one_is_too_late(self, chatting, compared):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        left = []
        for number in range(1, 6):
            proof = await chatting.prove(CHAT, other_than(code, number), assurance=SURE)
            left.append((proof.status, proof.tries_left, proof.contact))
        assert left == [("wrong", n, None) for n in (4, 3, 2, 1, 0)]
        assert await statuses(chatting, code, other_than(code)) == ["used_up", "used_up"]
        assert len(compared) == 5
        assert (await chatting.context(MAIL)).contact is None

    async def test_it_is_good_until_its_end(self, chatting, clock):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        clock.time += 10 * MINUTE - 1
        assert await statuses(chatting, other_than(code)) == ["wrong"]
        clock.time += 1
        assert await statuses(chatting, code) == ["expired"]
        clock.time += 11 * MINUTE
        assert await statuses(chatting, code) == ["none"]

    async def test_it_is_good_from_the_address_alone_that_it_was_made_for(self, chatting, compared):
        await exchange(chatting, write("hi"))
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        scoped = replace(CHAT, scope="elsewhere")
        for address in (SMS, MAIL, scoped, "chat:customer-8"):
            assert await statuses(chatting, code, address=address) == ["none"]
        mine = (await chatting.challenge("email:eve@example.org", to=SMS)).code
        assert mine == code or await statuses(chatting, code, address=SMS) == ["wrong"]
        assert await statuses(chatting, code) == ["linked"]

    async def test_it_is_good_for_its_tenant_alone(self, chatting, between):
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        assert await statuses(between("globex"), code) == ["none"]

    async def test_the_next_code_takes_its_place(self, chatting):
        first = (await chatting.challenge("email:eve@example.org", to=CHAT)).code
        second = (await chatting.challenge(MAIL, to=CHAT)).code
        assert first == second or await statuses(chatting, first) == ["wrong"]
        proof = await chatting.prove(CHAT, second, assurance=SURE)
        assert proof.contact.addresses == (CHAT, MAIL)

    async def test_what_is_stored_is_bound_to_both_addresses(self, chatting, between, clock):
        """Who could put one record in the place of another would win nothing."""
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        await exchange(chatting, write("hi"))
        name = proving._name(chatting, CHAT)
        record = await proving._read(chatting, name, clock.time)
        held = proving._opened(record)
        moved = proving._write(chatting, proving._name(chatting, SMS), held, clock.time, None)
        await chatting.store.records(moved)
        assert await statuses(chatting, code, address=SMS) == ["wrong"]
        eve = replace(held, claimed=Address("email", "eve@example.org"))
        await chatting.store.records(proving._write(chatting, name, eve, clock.time, None))
        assert await statuses(chatting, code) == ["wrong"]

    @pytest.mark.parametrize("assurance", [Assurance.ANONYMOUS, Assurance.CLAIMED])
    async def test_a_message_that_may_be_anybodys_proves_nothing(
        self, chatting, compared, assurance
    ):
        """Else who forges a From gets an address of their own into the contact of another."""
        code = (await chatting.challenge(MAIL, to=CHAT)).code
        with pytest.raises(errors.Unvouched):
            await chatting.prove(CHAT, code, assurance=assurance)
        assert compared == []
        assert await statuses(chatting, code) == ["linked"]

    @pytest.mark.parametrize(
        "text",
        ["", " ", "hello", "12345", "1234567", "١٢٣٤٥٦", "１２３４５６", "12345６", "²²²²²²", "-123456",
         "123456.0", "0x1234", "1e5", "123456\x00", "123456 123457", "\ud800", "9" * 1_000_000,
         "1 " * 500_000, "x123456x" * 100_000, "%s%d{code}", "123456\n654321", "1.234.567"],
        ids=lambda text: ascii(text[:20]),
    )  # fmt: skip
    async def test_what_is_no_code_is_wrong_quickly_and_costs_no_try(
        self, chatting, compared, text
    ):
        await chatting.challenge(MAIL, to=CHAT)
        began = time.thread_time()
        proof = await chatting.prove(CHAT, text, assurance=SURE)
        if proof.tries_left == 5:
            assert (proof, compared) == (Proof("wrong", tries_left=5), [])
        else:  # "123456\x00": a code with rubbish behind it is a guess
            assert (proof.status, text[:6]) == ("wrong", "123456")
        assert time.thread_time() - began < 1

    @pytest.mark.parametrize(
        "wrong",
        [{"digits": 5}, {"digits": 11}, {"lifetime_seconds": 0}, {"lifetime_seconds": 601},
         {"lifetime_seconds": float("nan")}, {"endpoint": ENDPOINTS["sms"]},
         {"endpoint": ENDPOINTS["email"]}, {"to": Address("chat", "")}, {"to": Address("chat", "x" * 513)},
         {"to": Address("chat", "\ud800")}],
    )  # fmt: skip
    async def test_what_cannot_be_asked_for_is_refused(self, chatting, wrong):
        with pytest.raises((errors.UsageError, errors.Malformed)):
            await chatting.challenge(MAIL, **{"to": CHAT, **wrong})

    async def test_damage_is_reported(self, chatting, clock):
        await chatting.challenge(MAIL, to=CHAT)
        for scope, address in ((proving._SCOPE, CHAT), (proving._SCOPE_CLAIMED, MAIL)):
            name = proving._name(chatting, address)
            await chatting.store.records(
                RecordWrite("acme", scope, name, clock.time, b"\xc1", None, 60)
            )
        with pytest.raises(errors.CorruptRecord):
            await chatting.prove(CHAT, "123456", assurance=SURE)
        with pytest.raises(errors.CorruptRecord):
            await chatting.challenge(MAIL, to=SMS)


class TestManyAtOnce:
    async def guess(self, one_of, code, count=50):
        """All guess, the right one among them, in turn by turn."""
        said = []
        guesses = [other_than(code, n) for n in range(1, count)]
        guesses.insert(count // 2, code)

        async def guess(number, text):
            bridge = one_of[number % len(one_of)]
            said.append((await bridge.prove(CHAT, text, assurance=SURE)).status)

        async with anyio.create_task_group() as group:
            for number, text in enumerate(guesses):
                group.start_soon(guess, number, text)
        return Counter(said)

    async def test_fifty_guesses_are_five_comparisons(self, chatting, between, compared):
        for _ in range(3):
            compared.clear()
            code = (await chatting.challenge("email:eve@example.org", to=CHAT)).code
            bridges = [between() for _ in range(4)]
            said = await self.guess(bridges, code)
            assert len(compared) <= 5
            assert said["wrong"] + said["linked"] == len(compared)
            assert said["linked"] <= 1
            assert sum(said.values()) == 50
            assert sum(one.store.steps["identify"] for one in bridges) == said["linked"]

    async def test_without_compare_and_swap_they_would_be_more(self, chatting, between, compared):
        """What the test above rests on: it finds the fault where there is one."""
        code = (await chatting.challenge("email:eve@example.org", to=CHAT)).code
        await self.guess([between(swaps=False)], code)
        assert len(compared) > 5

    async def test_twenty_challenges_at_once_are_three(self, bridge, between):
        made, refused = [], []

        async def ask(one, number):
            try:
                made.append(await one.challenge(MAIL, to=f"chat:visitor-{number}"))
            except errors.TooManyChallenges as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, between(), number)
        assert (len(made), len(refused)) == (3, 17)


class TestTooMany:
    async def test_three_for_one_address_in_ten_minutes(self, bridge, clock):
        for number in range(3):
            await bridge.challenge(MAIL, to=f"chat:visitor-{number}")
            clock.time += MINUTE
        with pytest.raises(errors.TooManyChallenges) as caught:
            await bridge.challenge(MAIL, to="chat:visitor-4")
        assert caught.value.retry_after == 7 * 60
        assert "example" not in str(caught.value)
        clock.time += 7 * MINUTE - 1
        with pytest.raises(errors.TooManyChallenges):
            await bridge.challenge(MAIL, to="chat:visitor-4")
        clock.time += 1
        await bridge.challenge(MAIL, to="chat:visitor-4")

    async def test_five_by_one_address_in_ten_minutes(self, bridge):
        for number in range(5):
            await bridge.challenge(f"email:ann{number}@example.org", to=CHAT)
        with pytest.raises(errors.TooManyChallenges):
            await bridge.challenge("email:ann6@example.org", to=CHAT)
        await bridge.challenge("email:ann6@example.org", to=SMS)

    async def test_ten_for_one_address_in_a_day(self, bridge, clock):
        for number in range(10):
            await bridge.challenge(MAIL, to=f"chat:visitor-{number}")
            clock.time += HOUR
        with pytest.raises(errors.TooManyChallenges) as caught:
            await bridge.challenge(MAIL, to="chat:visitor-11")
        assert caught.value.retry_after == 14 * 3600
        clock.time += 14 * HOUR
        await bridge.challenge(MAIL, to="chat:visitor-11")

    async def test_a_refused_one_leaves_the_code_before_it_good(self, chatting):
        for _ in range(3):
            code = (await chatting.challenge(MAIL, to=CHAT)).code
        with pytest.raises(errors.TooManyChallenges):
            await chatting.challenge(MAIL, to=CHAT)
        assert await statuses(chatting, code) == ["linked"]


class TestNothingIsRevealed:
    @pytest.mark.parametrize("sends", [False, True])
    async def test_known_and_unknown_take_the_same_steps(self, bridge, between, sends):
        await exchange(bridge, write("hi"))
        steps, shapes = [], []
        for claimed in (SMS, Address("sms", "+15550100777")):
            pigeon = Pigeon()
            one = between(senders=[pigeon])
            endpoint = ENDPOINTS["sms"] if sends else None
            made = await one.challenge(claimed, to=CHAT, endpoint=endpoint)
            steps.append(dict(one.store.steps))
            shapes.append((type(made), len(made.code), made.claimed == claimed, made.expires_at))
            assert [made.code in text for text in pigeon.texts] == [True] * sends
        assert steps[0] == steps[1] == ({"records": 6, "read": 1} if sends else {"records": 5})
        assert shapes[0] == shapes[1]

    async def test_a_wrong_guess_takes_the_same_steps(self, chatting, between):
        await exchange(chatting, write("hi"))
        steps = []
        for claimed in (SMS, Address("sms", "+15550100777")):
            code = (await chatting.challenge(claimed, to=CHAT)).code
            one = between()
            said = await one.prove(CHAT, other_than(code), assurance=SURE)
            steps.append((said, dict(one.store.steps)))
        assert steps[0] == steps[1] == (Proof("wrong", tries_left=4), {"records": 2})

    async def test_the_code_is_shown_and_stored_nowhere(self, chatting, between, clock, tmp_path):
        one = between(senders=[Pigeon()])
        made = await one.challenge(SMS, to=CHAT, endpoint=ENDPOINTS["sms"], digits=10)
        assert made.code not in repr(made)
        assert SMS.value not in repr(made)
        record = await proving._read(chatting, proving._name(chatting, CHAT), clock.time)
        assert made.code.encode() not in record.value
        assert (await chatting.context(SMS)).contact is None
        for path in tmp_path.iterdir():
            assert made.code.encode() not in path.read_bytes()

    async def test_with_a_secret_the_store_alone_does_not_tell_the_code(
        self, chatting, between, clock
    ):
        old, new = "o" * 32, "n" * 32
        first, both, later = (between(code_secret=s) for s in (old, [new, old], new))
        assert old not in repr(first.settings)
        code = (await first.challenge(MAIL, to=CHAT)).code
        assert await statuses(chatting, code) == ["wrong"]
        assert await statuses(later, code) == ["wrong"]
        assert await statuses(both, code) == ["linked"]
        with pytest.raises(errors.ConfigurationError):
            between(code_secret="short")

    async def test_ten_codes_differ(self, bridge):
        codes = {(await bridge.challenge(f"email:a{n}@example.org", to=f"chat:v{n}", digits=10)).code
                 for n in range(10)}  # fmt: skip
        assert len(codes) == 10


class TestSending:
    async def test_a_stop_is_heeded_and_not_told(self, bridge, between, caplog):
        await exchange(bridge, write("STOP"))
        pigeon = Pigeon()
        one = between(senders=[pigeon])
        made = await one.challenge(SMS, to=CHAT, endpoint=ENDPOINTS["sms"])
        assert (type(made), pigeon.texts, caplog.text) == (Challenge, [], "")
        await bridge.consent(SMS, granted=True, channel="sms", evidence="form:1")
        await one.challenge(SMS, to=CHAT, endpoint=ENDPOINTS["sms"], text="{code}!")
        assert len(pigeon.texts) == 1
        assert pigeon.texts[0].endswith("!")

    async def test_a_sender_that_fails_is_noted_without_the_code(self, between, caplog):
        pigeon = Pigeon()
        pigeon.says = Sent("failed", code="no.such.number")
        made = await between(senders=[pigeon]).challenge(SMS, to=CHAT, endpoint=ENDPOINTS["sms"])
        assert "no.such.number" in caplog.text
        assert made.code not in caplog.text

    async def test_a_text_without_the_code_is_a_mistake(self, between):
        one = between(senders=[Pigeon()])
        with pytest.raises(errors.UsageError):
            await one.challenge(SMS, to=CHAT, endpoint=ENDPOINTS["sms"], text="your code")
        assert not one.store.steps


class TestCodeIn:
    @pytest.mark.parametrize(
        "text",
        ["123456", " 123456\n", "my code is 123 456", "123-456", "Code: 123456.", "code:123456", "(123456)",
         "“123456”", "it's 1 2 3 4 5 6, thanks", "123456 for order 77", "é 123456", "123456?", "#123456"],
    )  # fmt: skip
    def test_it_is_found(self, text):
        assert code_in(text) == "123456"

    @pytest.mark.parametrize(
        "text",
        ["", "12345", "1234567", "123456 and 654321", "123456 654321", "x123456", "123456x", "ORD-123456",
         "12.123456", "123456.12", "123456,78", "+123456", "a/123456/b", "123456-", "१२३४५६", "12345６",
         "６123456", "123 456x 9", "123  456", "123456_", "0" * 20_000],
    )  # fmt: skip
    def test_it_is_not_found(self, text):
        assert code_in(text) is None

    def test_it_has_the_number_of_digits_asked_for(self):
        assert code_in("order 123456, code 1234 5678", digits=8) == "12345678"

    def test_its_time_grows_with_the_text_alone(self):
        for text in ("1 " * 7_999 + "x", "1" * 15_999 + "x", "1-" * 8_000, "1 x" * 5_000):
            began = time.thread_time()
            code_in(text)
            assert time.thread_time() - began < 0.5
