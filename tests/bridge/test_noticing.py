"""What a provider tells beside messages: kept once, shown to models as what it is, joining nobody."""

import pytest
from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.model import Event, Notice

ANN = Address("whatsapp", "+15550100001")
OURS = Endpoint("whatsapp", "+15550100099")
REACTION = Notice(
    "whatsapp",
    OURS,
    "reaction",
    ANN,
    "wamid.R",
    "wamid.1",
    "👍",
    occurred_at=1,
    provider="whatsapp",
)


@pytest.fixture
async def bridge():
    async with Bridge("memory://", tenant="acme") as bridge:
        yield bridge


async def wrote(bridge: Bridge) -> None:
    inbound = Inbound("whatsapp", OURS, ANN, "wamid.1", (Text("Hello"),), Assurance.CHANNEL)
    async with bridge.turn(inbound) as turn:
        turn.reply("Hello!")


async def events(bridge: Bridge) -> list[Event]:
    window = (await bridge.context(ANN, window=0)).window
    return [entry for entry in window if isinstance(entry, Event)]


async def test_a_reaction_is_in_the_log_once_however_often_it_is_told(bridge):
    await wrote(bridge)
    for _ in range(3):
        assert await bridge.receive(REACTION) is None
    (event,) = await events(bridge)
    assert (event.kind, event.about("about"), event.about("value")) == ("reaction", "wamid.1", "👍")

    await bridge.receive(replace(REACTION, kind="reaction_removed", event_id="wamid.R2", value=""))
    assert [e.kind for e in await events(bridge)] == ["reaction", "reaction_removed"]


async def test_two_of_a_provider_that_names_no_event_are_two_where_they_differ(bridge):
    await wrote(bridge)
    for at in (1, 1, 2):
        await bridge.receive(replace(REACTION, event_id="", occurred_at=at))
    assert len(await events(bridge)) == 2


async def test_what_passes_and_what_is_of_nobody_is_not_stored(bridge):
    await bridge.receive(REACTION)
    assert (await bridge.context(ANN)).contact is None
    await wrote(bridge)
    for kind in ("typing", "read", "unsupported"):
        await bridge.receive(replace(REACTION, kind=kind))
    await bridge.receive(replace(REACTION, sender=None))
    assert await events(bridge) == []


async def test_a_number_that_changed_is_a_proposal_and_joins_nobody(bridge):
    await wrote(bridge)
    new = Address("whatsapp", "+15550100002")
    await bridge.receive(replace(REACTION, kind="moved", value="", about="", other=new))
    (event,) = await events(bridge)
    assert (event.kind, event.about("says"), event.about("other")) == (
        "proposal",
        "moved",
        str(new),
    )
    assert (await bridge.context(new)).contact is None
