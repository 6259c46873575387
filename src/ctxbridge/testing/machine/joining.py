"""What an operator may do with contacts: merge two, split them again, unlink an address."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ctxbridge.model import Address, Assurance, Context, Entry, Identified
from ctxbridge.testing.machine.model import Origin, Talk
from ctxbridge.testing.machine.turns import TurnRules


class JoiningRules(TurnRules):
    """The rules of merges and splits."""

    @property
    def sound_talks(self) -> list[Talk]:
        """Those of whom nobody was erased: what is left of refusals is not followed here."""
        return [talk for talk in self.each_talk if not talk.was]

    @precondition(lambda self: len(self.sound_talks) > 1)
    @rule(data=st.data(), state=st.sampled_from([None, b"both"]), seldom=st.integers(0, 1))
    def merge(self, data: Any, state: bytes | None, seldom: int) -> None:
        """Two talks become one."""
        if seldom:
            return
        ours = data.draw(st.sampled_from(self.sound_talks))
        theirs = data.draw(st.sampled_from([t for t in self.sound_talks if t is not ours]))
        made = ours.state if state is None else state
        outcome = self.ask(
            self.store.identify, self.actor.merge(ours.contact, theirs.contact, state=state)
        )
        assert outcome.status == "merged"
        base = len(ours.log) + 1
        ours.origins[theirs.contact] = Origin(
            theirs.contact, frozenset(theirs.addresses), base + 1, len(theirs.log),
            theirs.revision, theirs.fence, theirs.epoch, theirs.state, dict(theirs.stopped),
            theirs.merged, theirs.origins, ours.state, dict(ours.stopped), made,
        )  # fmt: skip
        ours.merged += [theirs.contact, *theirs.merged]
        ours.say("<merge>")
        self._move(theirs, ours, {n: n + base for n in range(1, len(theirs.log) + 1)})
        ours.log, ours.whose = ours.log + theirs.log, ours.whose + theirs.whose
        ours.kept |= theirs.kept
        ours.stopped |= theirs.stopped
        ours.addresses |= theirs.addresses
        ours.superseded = ours.superseded or bool(ours.lease_end or theirs.lease_end)
        ours.revision = max(ours.revision, theirs.revision) + 1
        ours.fence = max(ours.fence, theirs.fence) + 1
        ours.epoch = max(ours.epoch, theirs.epoch) + 1
        ours.state, ours.lease_end, ours.holder = made, 0, None
        ours.look_after(self.now)
        self._lead(dict.fromkeys(theirs.addresses, ours))

    @precondition(lambda self: any(talk.origins for talk in self.sound_talks))
    @rule(data=st.data())
    def split(self, data: Any) -> None:
        """A merge is undone, with what arrived since."""
        talk = data.draw(st.sampled_from([t for t in self.sound_talks if t.origins]))
        origin = talk.origins[data.draw(st.sampled_from(sorted(talk.origins)))]
        theirs = [address for address in talk.addresses if address in origin.addresses]
        if not 0 < len(theirs) < len(talk.addresses):
            return  # the others were unlinked since: nobody could look one of the two up
        now = {address.channel for address in talk.addresses}
        came = list(range(origin.start, origin.start + origin.size))
        since = self._said_by(talk, theirs, origin.start + origin.size)
        part = self._part(talk, origin.contact, [*came, *since], len(came), theirs)
        own = {address.channel for address in part.addresses}
        before, ours = (
            {channel: word for channel, word in said.items() if channel in now}
            for said in (origin.stopped, origin.our_stopped)
        )
        part.stopped = before | {c: v for c, v in talk.stopped.items() if c in own}
        talk.stopped = ours | {c: v for c, v in talk.stopped.items() if c not in own}
        part.state, part.merged, part.origins = origin.state, origin.merged, origin.inner
        talk.state = origin.our_state if talk.state == origin.made else talk.state
        part.revision = max(origin.revision, talk.revision - 1) + 1
        part.fence = max(origin.fence, talk.fence - 1) + 1
        part.epoch = max(origin.epoch, talk.epoch - 1) + 1
        del talk.origins[origin.contact]
        gone = {origin.contact, *origin.merged}
        talk.merged = [id for id in talk.merged if id not in gone]
        self._lead(dict.fromkeys(theirs, part))

    @precondition(lambda self: any(len(talk.addresses) > 1 for talk in self.sound_talks))
    @rule(data=st.data(), goes=st.booleans(), seldom=st.integers(0, 1))
    def unlink(self, data: Any, goes: bool, seldom: int) -> None:
        """An address is somebody else's, with what it said or without."""
        if seldom:
            return
        talk = data.draw(st.sampled_from([t for t in self.sound_talks if len(t.addresses) > 1]))
        address = data.draw(st.sampled_from(list(talk.addresses)))
        places = self._said_by(talk, [address], 1)
        silent = [] if goes else places
        talk.waiting = [place for place in talk.waiting if place not in silent]
        part = self._part(talk, b"", places if goes else [], 0, [address], of=address)
        for id, known in self.known.items():
            if known.talk is talk and known.place in silent:
                self.known[id] = known._replace(talk=part, place=0)
        part.addresses = {address: min(part.addresses[address], Assurance.CHANNEL)}
        if address.channel in talk.stopped:
            part.stopped[address.channel] = talk.stopped.pop(address.channel)
        part.revision, part.fence, part.epoch = talk.revision, talk.fence, talk.epoch
        self._lead({address: part})

    # --- how -------------------------------------------------------------------------------------

    def _said_by(self, talk: Talk, addresses: list[Address], first: int) -> list[int]:
        return [
            place
            for place, whose in enumerate(talk.whose, 1)
            if place >= first and whose in addresses
        ]

    def _part(
        self,
        talk: Talk,
        contact: bytes,
        places: list[int],
        before: int,
        addresses: list[Address],
        of: Address | None = None,
    ) -> Talk:
        """Ask the store, and do the same here: the log of the part, and what is left of it."""
        context: Context = self.ask(self.store.read, self.actor.query(next(iter(talk.addresses))))
        held: dict[int, Entry] = dict(context.window.numbered())
        moves = tuple([(place, held[place]) for place in places])
        fresh = contact or self.actor.id()
        split = self.actor.split(talk.contact, fresh, len(talk.log), moves, address=of)
        outcome: Identified = self.ask(self.store.identify, split)
        assert outcome.status == "split"
        assert outcome.part is not None
        part = Talk(addresses[0]) if addresses else Talk(next(iter(talk.addresses)))
        part.contact = outcome.part.id
        part.addresses = {address: talk.addresses.pop(address) for address in addresses}
        there = {place: n if n <= before else n + 1 for n, place in enumerate(places, 1)}
        for place in places[:before]:
            part.say(talk.log[place - 1], talk.whose[place - 1])
        part.say("<split>")
        for place in places[before:]:
            part.say(talk.log[place - 1], talk.whose[place - 1])
        for place in places:
            talk.log[place - 1], talk.whose[place - 1] = "<moved>", None
        talk.say("<split>")
        self._move(talk, part, there)
        part.kept = dict(talk.kept)
        talk.superseded = talk.superseded or bool(talk.lease_end)
        talk.lease_end, talk.holder = 0, None
        talk.revision, talk.fence, talk.epoch = talk.revision + 1, talk.fence + 1, talk.epoch + 1
        talk.look_after(self.now)
        part.look_after(self.now)
        return part

    def _move(self, giver: Talk, taker: Talk, places: dict[int, int]) -> None:
        """What is known of entries goes where they go."""
        for place in [place for place in giver.messages if place in places]:
            taker.messages[places[place]] = giver.messages.pop(place)
        for id, known in self.known.items():
            if known.talk is giver and known.place in places:
                self.known[id] = known._replace(talk=taker, place=places[known.place])
        taker.waiting += [places[place] for place in giver.waiting if place in places]
        giver.waiting = [place for place in giver.waiting if place not in places]
        for leaving in [one for one in giver.leaving.values() if one.place in places]:
            taker.leaving[leaving.id] = giver.leaving.pop(leaving.id)
            leaving.place = places[leaving.place]

    def _lead(self, moved: dict[Address, Talk]) -> None:
        """Addresses lead elsewhere, and workers name contacts that live elsewhere."""
        self.talks |= moved
        self.held = [held for held in self.held if held.turn not in self.finished]
        for held in self.held:
            contact = held.opened.context.contact
            assert contact is not None
            whose = [t for t in self.each_talk if contact.id in {t.contact, *t.merged}]
            held.talk = whose[0] if whose else held.talk
        # Whose turn lives under another id by now is refused, in words that are not followed here.
        self.held = [held for held in self.held if held.turn in self._turns_of(held.talk)]

    @staticmethod
    def _turns_of(talk: Talk) -> set[bytes]:
        return {turn for turn, _ in talk.messages.values()}
