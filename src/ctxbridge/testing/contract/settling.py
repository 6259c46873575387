"""What became of a delivery: said by workers, providers and operators, in whatever order."""

from itertools import permutations
from typing import get_args

from ctxbridge.model import Delivery, DeliveryStatus, Endpoint, Settle, Taken
from ctxbridge.ports import Store
from ctxbridge.testing.actor import MAIL, OURS, PHONE, Actor, contact_of, outgoing
from ctxbridge.testing.contract.outbox import TOKEN, listed, status_of, taken, where_is

STATUSES: tuple[DeliveryStatus, ...] = get_args(DeliveryStatus)
OUTCOMES: dict[DeliveryStatus, dict[DeliveryStatus, DeliveryStatus]] = {
    # what it is          what is said, and what it is then; of the rest nothing changes
    "pending": {
        "unknown": "unknown", "sent": "sent", "failed": "failed", "delivered": "delivered",
        "read": "read", "withheld": "withheld",
    },
    "claimed": {
        "unknown": "unknown", "sent": "sent", "failed": "failed", "delivered": "delivered",
        "read": "read", "withheld": "withheld",
    },
    "unknown": {
        "pending": "pending", "sent": "sent", "failed": "failed", "delivered": "delivered",
        "read": "read",
    },
    "sent": {"failed": "failed", "delivered": "delivered", "read": "read"},
    "failed": {"pending": "pending", "delivered": "delivered", "read": "read"},
    "delivered": {"read": "read"},
    "read": {},
    "withheld": {},
}  # fmt: skip
"""``pending`` is said by an operator here: to send again what nobody tries any more."""


async def settled(store: Store, said: Settle) -> Delivery:
    """The delivery after something was said of it."""
    outcome = await store.deliver(said)
    assert outcome.status == "settled", outcome.status
    assert outcome.delivery is not None
    return outcome.delivery


class SettlingContract:
    """No word takes a better one back; what comes too early is kept."""

    # --- one after another ------------------------------------------------------------------------

    async def test_every_word_after_every_other(self, store: Store) -> None:
        actor = Actor()
        pairs = [(was, said) for was in STATUSES for said in STATUSES]
        for number, (was, said) in enumerate(pairs):
            delivery = actor.delivery(token=b"" if was == "pending" else TOKEN)
            contact = await outgoing(store, actor, delivery, message_id=f"SM{number}")
            if was not in {"pending", "claimed"}:
                word = actor.settle(was, contact=contact, delivery=delivery.id)
                assert (await settled(store, word)).status == was
            word = actor.settle(said, contact=contact, delivery=delivery.id)
            for time in ("once", "twice"):
                outcome = (await settled(store, word)).status
                assert outcome == OUTCOMES[was].get(said, was), (was, said, time)

    async def test_in_whatever_order_the_provider_says_it_the_end_is_the_same(
        self, store: Store
    ) -> None:
        actor = Actor()
        words: tuple[DeliveryStatus, ...] = ("sent", "failed", "delivered", "read")
        for size, best in ((2, "failed"), (3, "delivered"), (4, "read")):
            for number, order in enumerate(permutations(words[:size])):
                delivery, id = actor.delivery(token=TOKEN), f"P{size}.{number}"
                contact = await outgoing(store, actor, delivery, message_id=id)
                more = {"contact": contact, "provider_id": id}
                await settled(store, actor.settle("sent", delivery=delivery.id, attempt=1, **more))
                for word in order:
                    await settled(store, actor.settle(word, **more))
                assert await status_of(store, actor, contact, delivery.id) == best, order

    async def test_the_first_reason_that_counts_is_kept_and_kept_short(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        more = {"contact": contact, "delivery": delivery.id}
        failed = await settled(store, actor.settle("failed", code="30003" + "x" * 100, **more))
        assert failed.code == "30003" + "x" * 59
        assert (failed.token, failed.held_until) == (b"", 0)
        assert (await settled(store, actor.settle("sent", code="late", **more))) == failed

    # --- tried again ------------------------------------------------------------------------------

    async def test_a_retry_is_due_after_its_time(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        said = actor.settle(
            "pending", contact=contact, delivery=delivery.id, attempt=1, retry_seconds=5.0,
            code="429",
        )  # fmt: skip
        again = await settled(store, said)
        assert (again.status, again.due, again.code) == ("pending", actor.now + 5_000, "429")
        assert await listed(store, actor) == []
        assert (await store.deliver(actor.take(where, delivery.id))).status == "gone"
        actor.now += 5_000
        assert await listed(store, actor) == [delivery.id]
        step = actor.take(where, delivery.id)
        assert (await taken(store, step)).attempt == 2
        # Late: it is of the first attempt, and the second is on its way.
        assert await settled(store, said) == await taken(store, step)

    async def test_no_failure_of_an_earlier_attempt_counts(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(repeatable=True)
        contact = await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        more = {"contact": contact, "delivery": delivery.id}
        for attempt in (1, 2):
            step = actor.take(where, delivery.id, hold_seconds=1.0)
            assert (await taken(store, step)).attempt == attempt
            actor.now += 1_000
        failures: tuple[DeliveryStatus, ...] = ("failed", "unknown")
        for word in failures:
            assert (await settled(store, actor.settle(word, attempt=1, **more))).status == "claimed"
        sent = await settled(store, actor.settle("sent", attempt=1, provider_id="P1", **more))
        assert (sent.status, sent.provider_id) == ("sent", "P1")
        failed = await settled(store, actor.settle("failed", attempt=2, **more))
        assert failed.status == "failed"

    async def test_what_failed_is_sent_again_by_hand_and_only_that(self, store: Store) -> None:
        actor = Actor()
        failed, sent = actor.delivery(token=TOKEN), actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, failed, sent)
        await settled(store, actor.settle("failed", contact=contact, delivery=failed.id))
        await settled(store, actor.settle("sent", contact=contact, delivery=sent.id))
        (found,) = await store.scan(actor.scan("dead"))
        assert (found.id, found.contact) == (failed.id, contact)
        by_hand = actor.settle("pending", contact=contact, delivery=failed.id)
        again = await settled(store, by_hand)
        assert (again.status, again.due) == ("pending", actor.now)
        unchanged = actor.settle("pending", contact=contact, delivery=sent.id)
        assert (await settled(store, unchanged)).status == "sent"
        assert await listed(store, actor, "dead") == []
        assert await listed(store, actor) == [failed.id]

    async def test_a_provider_that_repeats_itself_does_not_end_the_next_attempt(
        self, store: Store
    ) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        mine = {"contact": contact, "delivery": delivery.id}
        await settled(store, actor.settle("sent", attempt=1, provider_id="P1", **mine))
        callback = actor.settle("failed", recipient=PHONE, provider_id="P1")
        assert (await settled(store, callback)).status == "failed"
        await settled(store, actor.settle("pending", **mine))
        assert (await settled(store, callback)).status == "pending"
        await taken(store, actor.take(where, delivery.id))
        assert (await settled(store, callback)).status == "claimed"
        sent = await settled(store, actor.settle("sent", attempt=2, provider_id="P2", **mine))
        assert (sent.status, sent.provider_id) == ("sent", "P2")
        assert (await settled(store, callback)).status == "sent"
        late = await settled(store, actor.settle("delivered", recipient=PHONE, provider_id="P1"))
        assert late.status == "delivered", "the first one had arrived after all"

    # --- whose it is, and words that come early ---------------------------------------------------

    async def test_a_provider_names_it_by_its_own_id(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        mine = {"contact": contact, "delivery": delivery.id}
        sent = await settled(store, actor.settle("sent", attempt=1, provider_id="P1", **mine))
        assert sent.provider_id == "P1"
        by_recipient = await settled(
            store, actor.settle("delivered", recipient=PHONE, provider_id="P1")
        )
        assert (by_recipient.id, by_recipient.status) == (delivery.id, "delivered")
        by_contact = await settled(store, actor.settle("read", contact=contact, provider_id="P1"))
        assert (by_contact.id, by_contact.status) == (delivery.id, "read")

    async def test_ids_of_other_endpoints_and_people_are_others(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        mine = {"contact": contact, "delivery": delivery.id}
        await settled(store, actor.settle("sent", attempt=1, provider_id="P1", **mine))
        await store.open(actor.claim(address=MAIL, message_id="<1@x>"))
        for more in (
            {"recipient": PHONE, "endpoint": Endpoint("sms", "+15550188888")},
            {"recipient": PHONE, "endpoint": None},
            {"recipient": MAIL, "endpoint": OURS},
        ):
            said = actor.settle("failed", provider_id="P1", **more)
            assert await store.deliver(said) == Taken("kept"), more
        assert await status_of(store, actor, contact, delivery.id) == "sent"

    async def test_of_somebody_unknown_nothing_is_kept(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        for said in (
            actor.settle("sent", recipient=MAIL, provider_id="P1"),
            actor.settle("sent", contact=actor.id(), provider_id="P1"),
            actor.settle("sent", provider_id="P1"),
            actor.settle("sent", contact=contact, delivery=actor.id(), provider_id="P1"),
            actor.settle("sent", contact=contact, delivery=actor.id()),
            actor.settle("sent", contact=contact),
        ):
            assert await store.deliver(said) == Taken("gone")

    async def test_what_a_provider_says_too_early_is_kept(self, store: Store) -> None:
        actor = Actor()
        for number, (early, best) in enumerate((
            (("delivered",), "delivered"),
            (("sent",), "sent"),
            (("delivered", "sent"), "delivered"),
            (("failed", "delivered", "failed"), "delivered"),
            (("failed",), "failed"),
            (("unknown",), "sent"),
        )):  # fmt: skip
            delivery, id = actor.delivery(token=TOKEN), f"P{number}"
            contact = await outgoing(store, actor, delivery, message_id=f"SM{number}")
            for word in early:
                said: DeliveryStatus = word  # type: ignore[assignment]
                callback = actor.settle(said, recipient=PHONE, provider_id=id, code=said)
                assert await store.deliver(callback) == Taken("kept")
                assert await status_of(store, actor, contact, delivery.id) == "claimed"
            sent = actor.settle(
                "sent", contact=contact, delivery=delivery.id, attempt=1, provider_id=id
            )
            outcome = await settled(store, sent)
            assert (outcome.status, outcome.provider_id) == (best, id), early
            assert outcome.code == ("" if best == "sent" else best)
            assert await settled(store, sent) == outcome

    async def test_only_what_a_provider_can_know_is_kept(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        for said in (
            actor.settle("pending", contact=contact, provider_id="P1"),
            actor.settle("pending", contact=contact, provider_id="P1", retry_seconds=0.0),
            actor.settle("claimed", contact=contact, provider_id="P1"),
        ):
            assert await store.deliver(said) == Taken("gone")
        failed = actor.settle("failed", contact=contact, delivery=delivery.id, provider_id="P1")
        assert (await settled(store, failed)).status == "failed"

    async def test_what_came_too_early_is_kept_for_its_time_and_no_longer(
        self, store: Store
    ) -> None:
        actor = Actor()
        for passed, status in ((99_999, "delivered"), (100_000, "sent")):
            delivery, id = actor.delivery(token=TOKEN), f"P{passed}"
            contact = await outgoing(store, actor, delivery, message_id=id)
            early = actor.settle(
                "delivered", contact=contact, provider_id=id, remember_seconds=100.0
            )
            assert await store.deliver(early) == Taken("kept")
            actor.now += passed
            sent = actor.settle("sent", contact=contact, delivery=delivery.id, provider_id=id)
            assert (await settled(store, sent)).status == status

    async def test_what_is_said_of_a_linked_address_is_said_of_its_contact(
        self, store: Store
    ) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        await store.identify(actor.link(contact, MAIL))
        early = actor.settle("delivered", recipient=MAIL, provider_id="P1")
        assert await store.deliver(early) == Taken("kept")
        sent = actor.settle("sent", contact=contact, delivery=delivery.id, provider_id="P1")
        assert (await settled(store, sent)).status == "delivered"
