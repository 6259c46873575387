"""What may happen to a delivery: workers take it, providers and operators speak of it."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec.structs import replace

from ctxbridge.model import Settle, Taken
from ctxbridge.testing.machine.ground import Ground
from ctxbridge.testing.machine.model import (
    BETTER,
    HOLD_SECONDS,
    REMEMBER_SECONDS,
    Leaving,
    Talk,
)

MOST_ATTEMPTS = 3


def provider_id(leaving: Leaving, attempt: int) -> str:
    """How the provider calls one attempt."""
    return f"{leaving.id.hex()}/{attempt}"


class OutboxRules(Ground):
    """The rules of deliveries."""

    def _some(self, data: Any) -> tuple[Talk, Leaving]:
        """One of all, mostly one that is still on its way: with the others little can happen."""
        on_the_way = [one for one in self.each_leaving if one[1].looked_for]
        return data.draw(st.sampled_from(on_the_way * 3 + self.each_leaving))  # type: ignore[no-any-return]

    # --- ours ------------------------------------------------------------------------------------

    @precondition(lambda self: self.each_leaving)
    @rule(data=st.data(), mine=st.booleans(), judged=st.booleans())
    def take(self, data: Any, mine: bool, judged: bool) -> None:
        """A worker claims a delivery, due or not, perhaps after judging it anew."""
        talk, leaving = self._some(data)
        if not leaving.where:
            return
        step = self.actor.take(
            leaving.where, leaving.id, hold_seconds=HOLD_SECONDS, window=0,
            token=leaving.token if mine else b"", gate_epoch=talk.epoch if judged else None,
        )  # fmt: skip
        outcome: Taken = self.ask(self.store.deliver, step)
        assert outcome.status == self._expect_take(talk, leaving, step.token, judged)
        if outcome.status != "gone":
            assert outcome.message is not None
            assert outcome.message.text == talk.log[leaving.place - 1]
            assert outcome.context is not None
            if outcome.message.address in talk.addresses:
                assert len(outcome.context.window) == len(talk.log)
            assert outcome.context.gate_epoch == talk.epoch
        if outcome.delivery is not None:
            self._compare(outcome, leaving)

    def _expect_take(self, talk: Talk, leaving: Leaving, token: bytes, judged: bool) -> str:
        if leaving.status == "claimed" and leaving.held_until > self.now:
            return "taken" if leaving.token == token else "gone"
        if leaving.status == "claimed" and not leaving.repeatable:
            leaving.status = "unknown"
            return "gone"
        if leaving.status not in {"pending", "claimed"}:
            return "gone"
        if leaving.status == "pending" and leaving.due > self.now:
            return "gone"
        if not judged and leaving.epoch != talk.epoch:
            return "stale"
        leaving.claim(token, self.now, talk.epoch)
        return "taken"

    def _compare(self, outcome: Taken, leaving: Leaving) -> None:
        held = outcome.delivery
        assert held is not None
        assert (held.id, held.status, held.attempt) == (leaving.id, leaving.status, leaving.attempt)
        named = provider_id(leaving, leaving.named) if leaving.named else ""
        assert held.provider_id == named

    @precondition(lambda self: self.each_leaving)
    @rule(data=st.data(), who=st.sampled_from(["worker"] * 4 + ["operator"] * 2 + ["gate"]))
    def speak(self, data: Any, who: str) -> None:
        """One of us says what became of a delivery, perhaps late, or sends it again."""
        talk, leaving = self._some(data)
        said = self._report(data, talk, leaving) if who == "worker" else self._word_of(who)
        said = replace(said, contact=talk.contact, delivery=leaving.id)
        outcome = self.ask(self.store.deliver, said)
        if who == "worker":
            self._hear_report(talk, leaving, said)
        elif who == "gate":
            leaving.hear("withheld", earlier=False)
        elif leaving.dead:
            leaving.again(self.now)
        assert outcome.status == "settled"
        self._compare(outcome, leaving)

    def _word_of(self, who: str) -> Settle:
        return self.actor.settle("withheld" if who == "gate" else "pending")

    def _report(self, data: Any, talk: Talk, leaving: Leaving) -> Settle:
        """The end of any attempt, mostly of one that its provider has already spoken of."""
        word = data.draw(st.sampled_from(["sent", "sent", "failed", "unknown", "pending"]))
        attempts = range(1, max(1, leaving.attempt) + 1)
        spoken_of = [one for one in attempts if provider_id(leaving, one) in talk.kept]
        attempt = data.draw(st.sampled_from(spoken_of * 3 + [*attempts]))
        return self.actor.settle(
            word, attempt=attempt,
            provider_id=provider_id(leaving, attempt) if data.draw(st.integers(0, 3)) else "",
            retry_seconds=3.0 if word == "pending" else None,
        )  # fmt: skip

    def _hear_report(self, talk: Talk, leaving: Leaving, said: Settle) -> None:
        earlier = said.attempt < leaving.attempt
        if said.provider_id and not (earlier and leaving.named):
            leaving.named = said.attempt
        if said.status == "pending":
            if leaving.status == "claimed" and not earlier:
                leaving.again(self.now + 3_000)
        else:
            leaving.hear(said.status, earlier=earlier)
        if said.provider_id:
            leaving.names[said.attempt] = None
            word, _ = talk.kept.pop(said.provider_id, ("", 0))
            if word:
                leaving.hear(word, earlier=said.attempt != leaving.named)

    # --- providers -------------------------------------------------------------------------------

    @precondition(lambda self: self.each_leaving or (self.gone and self.each_talk))
    @rule(data=st.data(), word=st.sampled_from(["sent", "failed", "delivered", "read", "unknown"]),
          by_address=st.booleans())  # fmt: skip
    def call_back(self, data: Any, word: Any, by_address: bool) -> None:
        """A provider speaks of one of its messages: early, late, again, out of order."""
        everything = self.each_leaving + [
            (talk, leaving) for talk in self.each_talk for leaving in self.gone
        ]
        talk, leaving = data.draw(st.sampled_from(everything))
        attempts = [*leaving.names] * 4 + [max(1, leaving.attempt)] * 2
        attempts += range(1, MOST_ATTEMPTS + 1)
        attempt = data.draw(st.sampled_from(attempts))
        whose: dict[str, Any] = {"contact": talk.contact}
        if by_address:
            whose = {"recipient": data.draw(st.sampled_from(list(talk.addresses)))}
        id = provider_id(leaving, attempt)
        said = self.actor.settle(word, provider_id=id, remember_seconds=REMEMBER_SECONDS, **whose)
        outcome = self.ask(self.store.deliver, said)
        if leaving.id in talk.leaving and attempt in leaving.names:
            leaving.hear(word, earlier=attempt != leaving.named)
            assert outcome.status == "settled"
            self._compare(outcome, leaving)
        else:
            assert outcome == Taken("kept")
            self._keep(talk, id, word)

    def _keep(self, talk: Talk, id: str, word: str) -> None:
        before, _ = talk.kept.get(id, ("pending", 0))
        best = max(before, word, key=BETTER.index)
        talk.kept[id] = (best, self.now + round(REMEMBER_SECONDS * 1000))
