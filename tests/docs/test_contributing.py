"""The adapter in CONTRIBUTING.md is one: it verifies, reads, and is fuzzed like those that ship."""

import hmac
import json
import re
from pathlib import Path
from random import Random

import pytest
from tests.channels.fixtures import NOW
from tests.channels.test_fuzz import header, mutated, surprises

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Assurance, RawRequest
from ctxbridge.ports import Channel

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
SOURCE = PAGE.parent / "src/ctxbridge"
LETTER = {
    "id": "L1",
    "sender": "ann",
    "to": "shop",
    "text": "h\u00e9",
    "at": "2026-05-28T20:26:40Z",
}
BODY = json.dumps([LETTER, {"id": 7}, LETTER | {"id": "L2"}]).encode()


@pytest.fixture(scope="module")
def pigeon_post():
    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    found: dict[str, object] = {"__name__": "pigeon"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), found)
    return found["PigeonPost"]


def signed(body: bytes, secret: bytes = b"s") -> RawRequest:
    made = hmac.new(secret, body, "sha256").hexdigest()
    return RawRequest(body, (("X-Pigeon-Signature", made),), received_at=NOW)


def test_it_reads_what_is_signed_and_one_bad_item_does_not_lose_the_rest(pigeon_post):
    channel: Channel = pigeon_post(["old", "s"])
    verification = channel.verify(signed(BODY))
    assert (verification.status, verification.key) == ("verified", 1)
    parsed = channel.parse(signed(BODY), verification)
    assert [(e.message_id, e.text, e.assurance) for e in parsed.events] == [
        (id, "h\u00e9", Assurance.CHANNEL) for id in ("L1", "L2")
    ]
    assert len(parsed.errors) == 1
    assert channel.reply(parsed).status == 200


def test_it_refuses_what_is_forged_and_an_empty_secret(pigeon_post):
    channel = pigeon_post("s")
    forged = signed(BODY, b"other")
    assert channel.reply(channel.parse(forged, channel.verify(forged))).status == 401
    with pytest.raises(ConfigurationError):
        pigeon_post("")


def test_it_stands_what_the_others_stand(pigeon_post):
    def damaged(chance: Random) -> RawRequest:
        body = mutated(BODY, chance)
        made = hmac.new(b"s", body, "sha256").hexdigest().encode()
        return RawRequest(body, (("X-Pigeon-Signature", header(made, chance)),), received_at=NOW)

    assert surprises([pigeon_post(), pigeon_post("s")], damaged, 5_000, 1) == []


def strangers(folder, page):
    """The files of a folder that the page lacks, and those in the table of it that are none."""
    table = page.split(f"| files in `{folder}/` |")[1].split("\n\n")[0]
    told = set(re.findall(r"`([a-z_]+\.py)`", table))
    there = {path.name for path in (SOURCE / folder).glob("*.py")} - {"__init__.py"}
    return sorted(told ^ there)


@pytest.mark.parametrize("folder", ["bridge", "stores/redis"])
def test_its_tables_have_each_file_and_no_other(folder):
    page = PAGE.read_text()
    assert strangers(folder, page) == []
    assert strangers(folder, page.replace("`opening.py`", "`closing.py`")) == [
        "closing.py",
        "opening.py",
    ]
