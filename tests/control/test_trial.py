"""A canary on trial: outcomes are told once, by one rule, and what trips is rolled back."""

import anyio
import pytest

from ctxbridge import Address, errors
from ctxbridge.bridge.watching import outcome_of
from ctxbridge.guards import allow, block, guard
from ctxbridge.model import Outcome, Release, TrialPolicy
from ctxbridge.rules.control import bucket

from .test_control import answer

CANARY = Release("support", "v12")
HOUR = 3_600_000


@guard("reply")
def _polite(check):
    rude = check.text.startswith("v12") and "swear" in check.text
    return block("rude") if rude else allow()


def visitor(number):
    return Address("sms", f"+155503{number:05}")


async def talk(bridge, count, text="swear", first=0):
    for number in range(first, first + count):
        await answer(bridge, text, sender=visitor(number))


async def counts(bridge):
    trial, _ = await bridge.watching.trial(CANARY)
    return (trial.stable_count, trial.canary_count) if trial else None


async def begin(bridge, **policy):
    await bridge.control.canary("support", "v12", 50, trial=TrialPolicy(**policy), by="ann")


class TestTelling:
    async def test_a_conversation_is_told_an_hour_later_and_once(self, deploy, clock):
        async with deploy() as bridge, deploy() as elsewhere:
            await begin(bridge)
            await elsewhere.steering.refresh()
            await talk(bridge, 6)
            await talk(elsewhere, 6, "again")
            assert await bridge.watching.settle() == 0
            clock.time += HOUR
            assert await bridge.watching.settle() == 6
            assert await elsewhere.watching.settle() == 0, "these were no beginnings there"
            assert sum(await counts(bridge)) == 6
            await talk(bridge, 6, "and again")
            clock.time += HOUR
            assert await bridge.watching.settle() == 0

    async def test_what_began_before_or_elsewhere_is_not_told(self, deploy, clock):
        async with deploy() as bridge:
            await talk(bridge, 4)
            await begin(bridge)
            await talk(bridge, 4, "again")
            clock.time += HOUR
            await bridge.watching.settle()
            assert await counts(bridge) == (0, 0)

    async def test_an_agent_that_raises_is_told_at_once_and_its_retry_is_not(
        self, deploy, agents, clock
    ):
        async with deploy() as bridge, deploy() as elsewhere:
            await begin(bridge)
            await elsewhere.steering.refresh()

            async def fails(turn):
                raise ValueError

            agents.before["v11"] = agents.before["v12"] = fails
            with pytest.raises(ValueError):
                await answer(bridge)
            assert await bridge.watching.settle() == 1
            agents.before.clear()
            clock.time += HOUR
            assert await elsewhere.recover(elsewhere.deployed) == 1
            clock.time += HOUR
            assert await elsewhere.watching.settle() == 0
            assert sum(await counts(bridge)) == 1

    async def test_who_is_left_tells_what_is_known_by_then(self, deploy):
        async with deploy() as operator:
            await begin(operator)
            async with deploy() as bridge:
                await talk(bridge, 3)
            assert sum(await counts(operator)) == 3

    @pytest.mark.parametrize(
        ("what", "flag"),
        [
            ("fine", None), ("blocked", "blocked"), ("silent", "unanswered"), ("stop", "opted_out"),
            ("human", "taken_over"),
        ],
    )  # fmt: skip
    async def test_what_became_of_it_is_read_from_the_log(self, deploy, agents, clock, what, flag):
        async def silent(turn):
            return None

        bridge = deploy("v11", guards=None if what == "stop" else [_polite])
        bridge.deploy("support@v12", silent if what == "silent" else agents.version("v12"))
        async with bridge:
            await bridge.control.canary("support", "v12", 100)
            since = clock.now()
            await answer(bridge, "swear" if what == "blocked" else "hello", sender=visitor(1))
            clock.time += 1_000
            if what == "stop":
                await answer(bridge, "STOP", sender=visitor(1))
            if what == "human":
                await bridge.control.rollback("support", to="v11", running="handoff")
                await bridge.store.commit(await _floor(bridge))
            context = await bridge.context(visitor(1), window=200)
            told = outcome_of(context, CANARY, CANARY, since, clock.now(), failed=False)
            assert {f for f in Outcome.__struct_fields__[1:] if getattr(told, f)} >= {flag} - {None}
            if flag is None:
                assert told == Outcome(canary=True)


async def _floor(bridge):
    from ctxbridge.model import Change, Floor

    context = await bridge.context(visitor(1))
    return Change(
        "acme", context.contact.id, bridge.ids.new(), bridge.clock.now(), floor=Floor.HUMAN
    )


class TestActing:
    async def test_a_bad_release_is_rolled_back_and_everybody_has_an_answer(self, deploy, clock):
        async with deploy(guards=[_polite]) as bridge:
            await begin(bridge)
            told = 0
            while told < 400 and (await bridge.control.read()).route("support").canary:
                await talk(bridge, 20, first=told)
                told += 20
                clock.time += HOUR
                await bridge.watching.settle()
                await bridge.steering.refresh()
            control = await bridge.control.read()
            assert control.route("support").withdrawal("v12") is not None
            assert control.by == "policy:trial"
            assert "v12" in control.why
            assert told < 200
            conclusion = await bridge.control.trial("support", "v12")
            assert conclusion.does == "roll_back"
            turn = await answer(bridge, "swear", sender=visitor(999))
            assert turn.release.version == "v11"

    async def test_it_is_done_once_and_the_report_is_logged(self, deploy, clock, caplog):
        async with deploy(guards=[_polite]) as one, deploy(guards=[_polite]) as two:
            await begin(one)
            await two.steering.refresh()
            await talk(one, 100)
            clock.time += HOUR
            await one.watching.settle()
            await two.watching.settle()
            acts = [control.act for control in await one.control.history()]
            assert acts.count("rollback support: v12 to v11") == 1
            logged = [m for m in caplog.messages if m.startswith("rolled back support@v12 to v11")]
            assert len(logged) == 1

    async def test_or_that_is_proposed_once(self, deploy, clock):
        async with deploy(guards=[_polite]) as bridge:
            await begin(bridge, acts=False)
            await talk(bridge, 100)
            clock.time += HOUR
            for _ in range(3):
                await bridge.watching.settle()
            acts = [c.act for c in await bridge.control.history()]
            assert acts.count("propose rollback support@v12") == 1
            assert (await bridge.control.read()).route("support").canary is not None

    async def test_a_good_release_goes_on(self, deploy, clock):
        async with deploy(guards=[_polite]) as bridge:
            await begin(bridge)
            await talk(bridge, 120, "hello")
            clock.time += HOUR
            await bridge.watching.settle()
            assert (await bridge.control.read()).route("support").canary is not None
            assert (await bridge.control.trial("support", "v12")).does == "wait"

    async def test_many_workers_fold_into_one_trial(self, deploy, clock):
        async with deploy() as one, deploy() as two, deploy() as three:
            await begin(one)
            for place, bridge in enumerate((one, two, three)):
                await bridge.steering.refresh()
                await talk(bridge, 10, first=place * 10)
            clock.time += HOUR
            async with anyio.create_task_group() as group:
                for bridge in (one, two, three):
                    group.start_soon(bridge.watching.settle)
            assert sum(await counts(one)) == 30

    async def test_a_trial_needs_a_lot(self, deploy):
        async with deploy() as bridge:
            for options in ({"percent": 100}, {"percent": 10, "channels": ["sms"]}):
                with pytest.raises(errors.ConfigurationError):
                    await bridge.control.canary("support", "v12", trial=TrialPolicy(), **options)
                assert await bridge.control.trial("support", "v12") is None, "none has begun"


def test_the_lot_is_another_for_each_release():
    contacts = [bytes([n, m]) * 8 for n in range(30) for m in range(30)]
    both = [
        (bucket(Release("a", "1"), c) < 50, bucket(Release("a", "2"), c) < 50) for c in contacts
    ]
    assert 150 < both.count((True, True)) < 300
    assert 350 < sum(one for one, _ in both) < 550
