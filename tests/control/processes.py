"""The processes that the tests of single acts are about, and who writes to them."""

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text

HOUR = 3_600_000
US = Endpoint("chat", "us")


def says(version):
    async def agent(_turn):
        return version

    return agent


def bridge_of(store, *versions, **options):
    """A process that has these versions, the first of which it takes for the stable one."""
    bridge = Bridge(store, tenant="acme", guards=(), **options)
    for version in versions or ("v11", "v12"):
        bridge.deploy(f"support@{version}", says(version))
    return bridge


def write(number, id=None):
    who = Address("chat", f"customer-{number}")
    return Inbound("chat", US, who, id or f"M{number}", (Text("hi"),), Assurance.CHANNEL)


async def answered_by(bridge, number, id=None):
    turn = await bridge.answer(write(number, id), bridge.deployed)
    return "".join([message.text for message in turn.said])
