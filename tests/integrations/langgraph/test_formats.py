"""What is stored is read by every later release: golden bytes, never changed; and it can be sealed."""

import pytest

pytest.importorskip("langgraph", reason="needs the extra: pip install ctxbridge[langgraph]")

from ctxbridge import Bridge
from ctxbridge.integrations.langgraph import BridgeSaver, BridgeStore
from ctxbridge.integrations.langgraph.records import packed, unpacked
from ctxbridge.integrations.langgraph.roll import Sheet
from ctxbridge.integrations.langgraph.store import Stored
from ctxbridge.integrations.langgraph.trail import Entry, Held, Page, Saved, Trail, Write, Writes
from ctxbridge.integrations.langgraph.vault import Value
from tests.integrations.langgraph.graphs import checkpoint, ids, put, thread

ENTRY = Entry("id", "before", "run", {"log": Held("owner", 7, 1)}, ("delta",))
SAVED = Saved(1, ENTRY, ("msgpack", b"c"), ("msgpack", b"m"), {"n": ("null", b"")})
VALUES = [
    Trail(1, SAVED, (ENTRY,), "page"),
    SAVED,
    Page(1, (ENTRY,), "page"),
    Value(1, ("bytes", b"large")),
    Writes(1, (Write("task", -3, "n", ("bytes", b"w"), "path"),)),
    Sheet(1, (("name", 7),), "page"),
    Stored(1, b"{}", 7, 8, 1.5, 9),
]
GOLDEN = {
    "Trail": "9401950195a26964a66265666f7265a372756e81a36c6f6793a56f776e6572070191a564656c746192a76d73677061636bc4016392a76d73677061636bc4016d81a16e92a46e756c6cc4009195a26964a66265666f7265a372756e81a36c6f6793a56f776e6572070191a564656c7461a470616765",
    "Saved": "950195a26964a66265666f7265a372756e81a36c6f6793a56f776e6572070191a564656c746192a76d73677061636bc4016392a76d73677061636bc4016d81a16e92a46e756c6cc400",
    "Page": "93019195a26964a66265666f7265a372756e81a36c6f6793a56f776e6572070191a564656c7461a470616765",
    "Value": "920192a56279746573c4056c61726765",
    "Writes": "92019195a47461736bfda16e92a56279746573c40177a470617468",
    "Sheet": "93019192a46e616d6507a470616765",
    "Stored": "9601c4027b7d0708cb3ff800000000000009",
}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_golden_bytes(value):
    golden = bytes.fromhex(GOLDEN[type(value).__name__])
    assert unpacked(golden, type(value)) == value
    assert packed(value) == golden


async def test_nothing_of_a_thread_or_an_item_is_readable_in_a_sealed_store(place):
    pytest.importorskip("cryptography", reason="needs the extra crypto")

    def key(tenant, id):
        return id or "k1", bytes(range(32))

    async with place("memory") as inner, Bridge(inner, tenant="shop", seal=key) as bridge:
        saver, store = BridgeSaver(bridge), BridgeStore(bridge)
        config = thread("SECRET")
        for _ in range(70):
            config = await put(saver, config, checkpoint(large="SECRET" * 200))
            await saver.aput_writes(config, [("large", "SECRET")], "SECRET")
        await store.aput(("people", "SECRET"), "SECRET", {"text": "SECRET"})
        assert not any(b"SECRET" in record.value for record in inner._records.values())
        assert len(await ids(saver, thread("SECRET"))) == 70
        assert [item.key for item in await store.asearch(("people",))] == ["SECRET"]
