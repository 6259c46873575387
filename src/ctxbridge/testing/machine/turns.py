"""What customers and workers may do to a conversation: write, finish, join, renew, give back."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec.structs import replace

from ctxbridge.model import Address, Assurance, Change, Claim, Committed, Opened, Refused
from ctxbridge.testing.actor import CHAT, MAIL, PHONE
from ctxbridge.testing.machine.ground import Ground
from ctxbridge.testing.machine.model import (
    HOLD_SECONDS,
    LEASE_SECONDS,
    REMEMBER_SECONDS,
    Finished,
    Held,
    Known,
    Leaving,
    Talk,
)

ADDRESSES = [PHONE, PHONE, PHONE, PHONE, MAIL, CHAT]
BACKLOG = 4


class TurnRules(Ground):
    """The rules of turns."""

    # --- what a customer may do ------------------------------------------------------------------

    @rule(
        id=st.sampled_from(["m1", "m2", "m3", "m4", "m5", "m6"]),
        body=st.sampled_from(["a"] * 7 + ["b"]),
        address=st.sampled_from(ADDRESSES),
        stop=st.sampled_from([None, None, None, True, False]),
        overlap=st.sampled_from(["queue", "queue", "supersede", "reject"]),
        assurance=st.sampled_from([Assurance.AUTHENTICATED] * 3 + [Assurance.VERIFIED]),
        noted=st.sampled_from([False] * 7 + [True]),
    )
    def write(
        self,
        id: str,
        body: str,
        address: Address,
        stop: bool | None,
        overlap: str,
        assurance: Assurance,
        noted: bool,
    ) -> None:
        """A message arrives, perhaps again, perhaps while another turn runs."""
        if self.is_apart(address):
            return
        claim = self.actor.claim(
            body, message_id=self._own_id(id, address), address=address, stop=stop,
            assurance=assurance, lease_seconds=0.0 if noted else LEASE_SECONDS,
            remember_seconds=REMEMBER_SECONDS, window=0, overlap=overlap, backlog=BACKLOG,
        )  # fmt: skip
        opened: Opened = self.ask(self.store.open, claim)
        if self.is_known(claim.message.message_id):
            self._expect_again(opened, claim)
        else:
            self._expect_first(opened, claim, stop)
        if talk := self.talks.get(address):
            assert list(opened.context.waiting) == talk.waiting

    def _own_id(self, id: str, address: Address) -> str:
        """Ids are of one conversation: what others do with the same id is not promised."""
        talk = self.known[id].talk if self.is_known(id) else None
        foreign = talk is not None and address not in {*talk.addresses, *talk.was}
        return f"{id} of {address}" if foreign else id

    def _expect_again(self, opened: Opened, claim: Claim) -> None:
        known = self.known[claim.message.message_id]
        talk, finished = known.talk, self.finished.get(known.turn)
        if not known.place:  # its contact was erased
            assert (opened.status, opened.seq, opened.answer) == ("duplicate", 0, ())
            return
        assert (opened.turn, opened.seq) == (known.turn, known.place)
        if known.body != claim.message.text and not claim.resumes:
            assert opened.status == "mismatch"
        elif finished:
            assert opened.status == ("merged" if finished.merged else "duplicate")
            told = finished.replies if claim.assurance >= known.assurance else []
            assert [m.text for m in opened.answer] == told
            self._waits_no_longer(talk, known.place)
        elif not claim.lease_seconds:
            assert (opened.status, opened.answer) == ("duplicate", ())
        elif talk.lease_end > self.now:
            assert (opened.status, opened.fence) == ("busy", talk.fence)
        else:
            assert (opened.status, opened.resumed) == ("new", True)
            self._take_lease(talk, opened, claim.assurance)

    def _waits_no_longer(self, talk: Talk, place: int) -> None:
        if place in talk.waiting:
            talk.waiting.remove(place)
            talk.look_after(self.now)

    def _expect_first(self, opened: Opened, claim: Claim, stop: bool | None) -> None:
        talk = self.talks.get(claim.address) or self._revived(claim.address)
        running, noted = talk.lease_end > self.now, not claim.lease_seconds
        if running and stop is None and not noted:
            if claim.overlap == "reject":
                assert (opened.status, opened.fence) == ("rejected", talk.fence)
                return
            if len(talk.waiting) >= BACKLOG:
                assert (opened.status, opened.fence) == ("full", talk.fence)
                return
        place = self._store(talk, opened, claim, stop)
        assert opened.seq == place
        equals = talk.assurance == claim.assurance
        if noted:
            assert opened.status == "noted"
            talk.look_after(self.now)
            return
        talk.waiting.append(place)
        if running and not (equals and claim.overlap == "supersede"):
            assert (opened.status, opened.fence) == ("busy", talk.fence)
        else:
            assert (opened.status, opened.resumed) == ("new", False)
            self._take_lease(talk, opened, claim.assurance)

    def _revived(self, address: Address) -> Talk:
        """The talk of an address that never wrote, or whose contact was erased since."""
        talk = self.erased.pop(address, None) or Talk(address)
        talk.addresses = {address: Assurance.ANONYMOUS}
        return talk

    def _store(self, talk: Talk, opened: Opened, claim: Claim, stop: bool | None) -> int:
        assert opened.context.contact is not None
        talk.contact = talk.contact or opened.context.contact.id
        talk.addresses[claim.address] = max(talk.addresses[claim.address], claim.assurance)
        self.talks[claim.address] = talk
        talk.say(claim.message.text, claim.address)
        place = len(talk.log)
        talk.messages[place] = (opened.turn, claim.message)
        if stop is not None:
            talk.say("<consent>", claim.address)
            talk.stopped[claim.address.channel] = stop
            talk.epoch += 1
            talk.revision += 1
        until = self.now + round(REMEMBER_SECONDS * 1000)
        known = Known(talk, opened.turn, claim.message.text, place, claim.assurance, until)
        self.known[claim.message.message_id] = known
        return place

    def _take_lease(self, talk: Talk, opened: Opened, assurance: Assurance) -> None:
        assert opened.fence == talk.fence + 1
        talk.superseded = talk.lease_end > self.now
        talk.fence, talk.holder, talk.assurance = opened.fence, opened.turn, assurance
        talk.lease_end = self.now + round(LEASE_SECONDS * 1000)
        assert opened.lease_end == talk.lease_end
        talk.look_after(self.now)
        self.held.append(Held(talk, opened, talk.epoch))

    # --- what workers may do ---------------------------------------------------------------------

    @precondition(lambda self: any(talk.waiting for talk in self.each_talk))
    @rule(data=st.data())
    def take_up(self, data: Any) -> None:
        """Somebody sweeps, and takes up the oldest message that waits, in other words."""
        talk = data.draw(st.sampled_from([talk for talk in self.each_talk if talk.waiting]))
        place = talk.waiting[0]
        _, message = talk.messages[place]
        id = message.message_id
        assert message.address is not None
        if self.is_known(id) and self.known[id].talk is not talk:
            return  # as in `_own_id`
        claim = self.actor.claim(
            "masked", message_id=id, address=message.address, resumes=place,
            assurance=message.assurance, lease_seconds=LEASE_SECONDS, window=0,
        )  # fmt: skip
        opened: Opened = self.ask(self.store.open, claim)
        if self.is_known(id) and self.known[id].place == place:
            self._expect_again(opened, claim)
        else:
            assert (opened.status, opened.seq, opened.answer) == ("duplicate", place, ())
            self._waits_no_longer(talk, place)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), replies=st.lists(st.sampled_from(["x", "y"]), max_size=2),
          state=st.sampled_from([None, b"1", b"2"]), repeat=st.booleans(), accept=st.booleans(),
          join=st.sampled_from([True, True, False]), leaving=st.integers(0, 2))  # fmt: skip
    def finish(
        self,
        data: Any,
        replies: list[str],
        state: bytes | None,
        repeat: bool,
        accept: bool,
        join: bool,
        leaving: int,
    ) -> None:
        """A worker commits what it holds, or believes it holds; perhaps twice, perhaps for all."""
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        talk, own = held.talk, held.opened.seq
        places = [place for place in talk.waiting if join and place != own] + [own] * accept
        to_leave = [self._new_delivery(data, len(replies)) for _ in range(leaving * bool(replies))]
        message = held.message
        assert message.address is not None
        change = self.actor.change(
            held.opened, *replies, address=message.address, state=state,
            remember_seconds=REMEMBER_SECONDS,
            hold_seconds=HOLD_SECONDS, deliveries=tuple(to_leave),
            joined=tuple(
                talk.messages[place][0] for place in places if place != own
            ),
        )  # fmt: skip
        amend = tuple(
            (place, replace(talk.messages[place][1], disposition="accepted"))
            for place in places
            if place in talk.messages
        )
        change = replace(change, amend=amend, gate_epoch=held.epoch)
        for _ in range(1 + repeat):
            self._expect_commit(held, self.ask(self.store.commit, change), change)

    def _new_delivery(self, data: Any, replies: int) -> Any:
        claimed, seconds = data.draw(st.booleans()), data.draw(st.sampled_from([0, 5]))
        return self.actor.delivery(
            data.draw(st.integers(1, replies)), repeatable=data.draw(st.booleans()),
            due=self.now + seconds * 1000, token=self.actor.id()[:8] if claimed else b"",
        )  # fmt: skip

    def _refusal(self, held: Held) -> Refused | None:
        """Why a worker is refused whose turn is not finished; `None` if it holds the lease."""
        talk = held.talk
        if not talk.lease_end or (held.opened.fence, held.turn) != (talk.fence, talk.holder):
            reason: Any = "superseded" if talk.superseded else "fenced"
            return Refused(reason, talk.revision, talk.epoch)
        return None

    def _expect_commit(self, held: Held, outcome: Any, change: Change) -> None:
        talk, finished = held.talk, self.finished.get(held.turn)
        if finished and finished.fence != held.opened.fence:
            reason: Any = "superseded" if finished.merged else "fenced"
            assert outcome == Refused(reason, talk.revision, talk.epoch)
        elif finished:
            assert isinstance(outcome, Committed)
            assert outcome.replayed
            assert outcome.revision == finished.revision
        elif refused := self._refusal(held):
            assert outcome == refused
        elif held.epoch != talk.epoch:
            assert outcome == Refused("gated", talk.revision, talk.epoch)
        else:
            self._finish(held, change)
            assert outcome == Committed(len(talk.log), talk.revision)

    def _finish(self, held: Held, change: Change) -> None:
        talk, replies = held.talk, [reply.text for reply in change.append]  # type: ignore[union-attr]
        self.let_leave(talk, change)
        for reply in change.append:
            talk.say(reply.text, reply.address)  # type: ignore[union-attr]
        talk.revision += change.state is not None
        talk.state = talk.state if change.state is None else change.state
        talk.lease_end = 0
        done = [place for place, _ in change.amend]
        talk.waiting = [place for place in talk.waiting if place not in done]
        talk.look_after(self.now)
        own = Finished(replies, talk.revision, held.opened.fence)
        self.finished[held.turn] = own
        for turn in change.joined:
            self.finished[turn] = own._replace(replies=[], merged=True)

    def let_leave(self, talk: Talk, change: Change) -> None:
        """What a change that is stored puts into the outbox."""
        for new in change.deliveries:
            place = len(talk.log) + new.place
            leaving = Leaving(new.id, place, new.due, self.now, repeatable=new.repeatable)
            leaving.epoch = talk.epoch
            if new.token:
                leaving.claim(new.token, self.now, talk.epoch)
            talk.leaving[new.id] = leaving

    @precondition(lambda self: self.held)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 1.0, 7.0]), renew=st.booleans())
    def give_back(self, data: Any, seconds: float, renew: bool) -> None:
        """A worker fails and gives its lease back, or asks for more time."""
        held = data.draw(st.sampled_from(self.held))
        talk, finished = held.talk, self.finished.get(held.turn)
        if not renew:
            self.held.remove(held)
        change = self.actor.change(
            held.opened, finished=False, retry_seconds=seconds,
            lease_seconds=LEASE_SECONDS if renew else 0.0,
        )  # fmt: skip
        outcome = self.ask(self.store.commit, change)
        if finished:
            assert isinstance(outcome, Committed) == (finished.fence == held.opened.fence)
        elif refused := self._refusal(held):
            assert outcome == refused
        else:
            assert outcome == Committed(len(talk.log), talk.revision)
            talk.lease_end = self.now + round(LEASE_SECONDS * 1000) if renew else 0
            talk.look_after(self.now, seconds)

    @rule(address=st.sampled_from(ADDRESSES), text=st.sampled_from(["n1", "n2"]), data=st.data(),
          late=st.sampled_from([0, 0, 1]), leaving=st.booleans())  # fmt: skip
    def note(self, address: Address, text: str, data: Any, late: int, leaving: bool) -> None:
        """Something is appended outside of a turn, perhaps to leave, perhaps judged too early."""
        if address in self.erased:
            return
        talk = self.talks.get(address)
        contact = self.ask(self.store.read, self.actor.query(address)).contact
        assert (contact is None) == (talk is None)
        if talk is None:
            return
        change = self.actor.note(
            contact.id, self.actor.message(text, address=address),
            gate_epoch=max(0, talk.epoch - late),
            deliveries=(self._new_delivery(data, 1),) if leaving else (),
            remember_seconds=REMEMBER_SECONDS, hold_seconds=HOLD_SECONDS,
        )  # fmt: skip
        outcome = self.ask(self.store.commit, change)
        if change.deliveries and change.gate_epoch != talk.epoch:
            assert outcome == Refused("gated", talk.revision, talk.epoch)
            return
        self.let_leave(talk, change)
        talk.say(text, address)
        if change.deliveries:
            talk.look_after(self.now)
        assert outcome == Committed(len(talk.log), talk.revision)

    @rule(whose=st.sampled_from(ADDRESSES), address=st.sampled_from(ADDRESSES))
    def link(self, whose: Address, address: Address) -> None:
        """The tenant says that two addresses are one person's."""
        if whose in self.erased or address in self.erased:
            return
        outcome = self.ask(self.store.identify, self.actor.link(whose, address))
        talk, other = self.talks.get(whose), self.talks.get(address)
        if other is not None and other is not talk:
            assert outcome.status == "taken"
            return
        firm = Assurance.AUTHENTICATED
        if talk is not None and talk.addresses.get(address) == firm:
            assert outcome.status == "unchanged"
            return
        if talk is None:
            talk = self.talks[whose] = Talk(whose)
            talk.contact, talk.addresses[whose] = outcome.contact.id, firm
        assert outcome.status == "linked"
        talk.say("<link>")
        talk.revision += 1
        talk.addresses[address] = firm
        self.talks[address] = talk

    # --- what an operator may do ------------------------------------------------------------------

    def is_apart(self, address: Address) -> bool:
        """Whether it was of somebody erased of whom another address has written again.

        Such addresses are kept apart from each other, which this model does not follow.
        """
        talk = self.erased.get(address)
        return talk is not None and bool(talk.addresses)

    @rule(address=st.sampled_from(ADDRESSES), seldom=st.integers(0, 3))
    def erase(self, address: Address, seldom: int) -> None:
        """A contact is erased, with all that is under way."""
        if seldom or self.is_apart(address):
            return
        talk = self.talks.get(address)
        erased = self.ask(self.store.erase, self.actor.erase(address))
        if talk is None:
            assert erased.status == "unknown"
            return
        assert (erased.status, erased.contact) == ("erased", talk.contact)
        assert erased.entries == len(talk.log)
        contact = self.ask(self.store.read, self.actor.query(address)).contact
        assert (contact.links, contact.id != talk.contact) == ((), True)
        self.gone += talk.leaving.values()
        talk.erase(contact.id)
        for other in [other for other, its in self.talks.items() if its is talk]:
            self.erased[other] = self.talks.pop(other)
        for id, known in self.known.items():
            if known.talk is talk:
                self.known[id] = known._replace(place=0)
        for held in [held for held in self.held if held.talk is talk]:
            self.held.remove(held)
            late = self.ask(self.store.commit, self.actor.change(held.opened, "late"))
            assert isinstance(late, Refused)
