"""Two channels at once: nothing lost, nothing interleaved, no run in vain; their own stores beside."""

import sys

import pytest

from . import two_channels

FAULTLESS = {"lost": 0, "interleaved": 0, "wasted": 0}


def url_of(request, tmp_path):
    if request.param == "redis":
        return request.getfixturevalue("server").url
    return f"sqlite:///{tmp_path}/x.db"


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    return url_of(request, tmp_path)


class TestOpenAI:
    @pytest.fixture(autouse=True)
    def framework(self):
        pytest.importorskip("agents", reason="needs the extra openai-agents")

    async def test_ours(self, url):
        assert await two_channels.race(two_channels.openai_ours(url)) == FAULTLESS

    async def test_theirs_interleaves(self, tmp_path):
        """The negative control: the same script, and the count finds what it looks for."""
        from agents import SQLiteSession

        def session(id):
            return SQLiteSession(id, tmp_path / "theirs.db")

        counts = await two_channels.race(two_channels.openai_theirs(session))
        print("openai-agents SQLiteSession:", counts, file=sys.stderr)
        assert counts["interleaved"] > 0


class TestPydanticAI:
    @pytest.fixture(autouse=True)
    def framework(self):
        pytest.importorskip("pydantic_ai", reason="needs the extra pydantic-ai")

    async def test_ours(self, url):
        assert await two_channels.race(two_channels.pydantic_ours(url)) == FAULTLESS

    async def test_theirs_wastes_runs(self):
        """The negative control."""
        system = two_channels.pydantic_port(two_channels.their_memory)
        counts = await two_channels.race(system)
        print("pydantic-ai InMemoryConversationStore:", counts, file=sys.stderr)
        assert counts["wasted"] > 0


def test_the_counts_find_what_is_wrong():
    talk = two_channels.Talk(1)
    texts = [m.text for channel in ("sms", "email") for m in talk.messages(channel)]
    good = [one for t in texts for one in (t, "call", "result", f"re: {t}")]
    talk.runs = 6
    assert dict(two_channels.judged(talk, good)) == FAULTLESS
    talk.runs = 8
    mixed = [good[4], *good[:4], *good[5:-1]]
    assert dict(two_channels.judged(talk, mixed)) == {"lost": 1, "interleaved": 2, "wasted": 3}
