"""`kill -9` at random moments: what was acknowledged is there, once, and whole."""

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ctxbridge.model import Address
from ctxbridge.stores.sqlite import SqliteStore
from ctxbridge.testing.actor import Actor, is_dense, texts

from .killed_writers import CUSTOMERS

KILLS = int(os.environ.get("CTXBRIDGE_KILLS", "300"))


def kill_writers(path, kills, variant, seed=7):
    program = Path(__file__).with_name("killed_writers.py")
    command = [sys.executable, str(program), str(path), str(kills), str(seed), variant]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


async def account(path, said):
    """How many acknowledged turns are lost, how many are there twice, how many customers are torn."""
    lost = twice = torn = 0
    async with SqliteStore(str(path)) as store:
        for customer in range(CUSTOMERS):
            context = await store.read(Actor().query(Address("chat", f"customer-{customer}")))
            counted = Counter(texts(context))
            own = {id for id in said["tried"] if id.split(".")[1] == str(customer)}
            for id in own:
                once = counted[id] == counted[f"re:{id}"] == 1
                lost += id in said["acked"] and not (counted[id] and counted[f"re:{id}"])
                twice += counted[id] > 1 or counted[f"re:{id}"] > 1
                torn += id in said["acked"] and not once and counted[id] == 1
            answers = sum(n for text, n in counted.items() if text.startswith("re:"))
            torn += int(context.state or b"0") != answers or not is_dense(context.window.seqs)
    return {"lost": lost, "twice": twice, "torn": torn}


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_doubled_or_torn(tmp_path):
    path = tmp_path / "killed.db"
    said = kill_writers(path, KILLS, "real")
    assert len(said["acked"]) > KILLS, "the writers hardly got to work"
    assert said["odd"] == []
    assert await account(path, said) == {"lost": 0, "twice": 0, "torn": 0}
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    print(f"{KILLS} kills, {len(said['acked'])} acknowledged turns: none lost, doubled or torn")


@pytest.mark.parametrize(
    ("variant", "fault"), [("hasty", "lost"), ("forgetful", "twice"), ("torn", "torn")]
)
async def test_the_account_shows_a_store_that_is_broken_on_purpose(tmp_path, variant, fault):
    """The negative control: each broken variant must be caught."""
    for seed in range(10):
        path = tmp_path / f"{variant}{seed}.db"
        said = kill_writers(path, 25, variant, seed)
        if (await account(path, said))[fault]:
            return
    pytest.fail(f"the account does not see that the {variant} store has {fault} turns")
