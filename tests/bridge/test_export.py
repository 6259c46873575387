"""What is stored of a person can be had: all of it, and nobody else's."""

import json

import pytest

from ctxbridge import Assurance, errors, guards
from ctxbridge.cli import main

from .conftest import SENDERS, exchange, write
from .test_guards import Pigeon
from .test_stages import striking

SMS, MAIL = SENDERS["sms"], SENDERS["email"]


async def exported(bridge, address=SMS):
    return [told async for told in bridge.export(address)]


async def test_all_that_is_stored_is_told(another):
    pigeon = Pigeon()
    pigeon.says = type(pigeon.says)("failed", code="30003")
    bridge = await another(guards=[striking(), guards.pii(), guards.opt_out()], senders=[pigeon])
    async with bridge.turn(write("damn, my card is 4111 1111 1111 1111")) as turn:
        turn.state.order = "A-17"
        turn.reply("sorry")
    await bridge.link(SMS, MAIL, evidence="crm:1")
    await exchange(bridge, write("STOP"))
    told = await exported(bridge)
    assert json.loads(json.dumps(told)) == told, "what JSON can hold, and nothing else"
    kinds = [one["kind"] for one in told]
    assert kinds[:2] == ["contact", "conversation"]
    (contact,) = [one for one in told if one["kind"] == "contact"]
    assert [link["address"]["value"] for link in contact["links"]] == [SMS.value, MAIL.value]
    assert contact["consents"][0]["granted"] is False
    states = {one["of"]: one["value"] for one in told if one["kind"] == "state"}
    assert states["guard strikes"] == {"count": 1}
    assert states["team"]["order"] == "A-17"
    entries = [one for one in told if one["kind"] in {"message", "event"}]
    assert [one["seq"] for one in entries] == list(range(1, len(entries) + 1))
    first = entries[0]
    assert "[card …1111]" in first["parts"][0]["text"]
    assert first["decision"]["code"] == "pii.card"
    assert [d["code"] for d in told if d["kind"] == "delivery"][:1] == ["30003"]
    assert await exported(bridge, MAIL) == told, "by whichever address"


async def test_also_what_no_reader_is_shown(bridge):
    """By a weak link the tenant's own look-up withholds; what is stored is told all the same."""
    await exchange(bridge, write("by sms"), "ok")
    await bridge.link(SMS, MAIL, evidence="typed", assurance=Assurance.CLAIMED)
    await exchange(bridge, write("by mail", "email"), "ok")
    assert (await bridge.context(MAIL)).withheld > 0
    for address in (SMS, MAIL):
        told = str(await exported(bridge, address))
        assert ("by sms" in told, "by mail" in told) == (True, True)


async def test_it_is_of_one_person_alone(bridge):
    await exchange(bridge, write("mine"), "ok")
    other = type(SMS)("sms", "+15550100888")
    await exchange(bridge, write("theirs", sender=other), "ok")
    assert "theirs" not in str(await exported(bridge))
    with pytest.raises(errors.UnknownContact):
        await exported(bridge, type(SMS)("sms", "+1999"))


def test_on_the_command_line(tmp_path, capfdbinary):
    db = str(tmp_path / "demo.db")
    main(["demo", "--db", db, "--json"])
    capfdbinary.readouterr()
    assert main(["export", "sms:+15550100142", "--db", db]) == 0
    told = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert sum(one["kind"] == "message" for one in told) == 16
    assert main(["export", "sms:+1999", "--db", db]) == 1
    words = ["link", "sms:+15550100142", "sms:+15550100143", "--evidence", "crm:9", "--db", db]
    capfdbinary.readouterr()
    assert main(words) == 0
    assert b"sms:+15550100143  authenticated, operator: crm:9" in capfdbinary.readouterr().out
    assert main(["export", "sms:+15550100143", "--db", db]) == 0
    assert main(["link", "f" * 32, "sms:+15550100144", "--evidence", "x", "--db", db]) == 2
