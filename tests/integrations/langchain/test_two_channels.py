"""Two channels at once on one conversation, 60 messages: beside the framework's own saver."""

import pytest

pytest.importorskip("langchain", reason="needs the extra: pip install ctxbridge[langchain]")
pytest.importorskip("langgraph.checkpoint.sqlite", reason="needs langgraph-checkpoint-sqlite")

from bench.two_channels import Found

from bench import two_channels


@pytest.fixture
def address(request, tmp_path):
    def address(kind):
        if kind == "redis":
            return f"{request.getfixturevalue('server').url}?prefix=two{tmp_path.name}"
        return "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/ours.db"

    return address


async def test_in_turns_nothing_is_lost_interleaved_or_wasted(address, kind):
    found = await two_channels.in_turns(address(kind))
    assert found == Found(lost=0, refused=0, interleaved=0, wasted=0)


async def test_the_frameworks_own_saver_loses_messages_and_tells_nobody(tmp_path):
    """The negative control: the same counting, over what most bots do."""
    found = await two_channels.on_their_saver(tmp_path)
    assert found.lost >= 10
    assert found.wasted >= 10
    assert found.refused == 0


async def test_our_checkpointer_alone_loses_nothing_in_silence(address, kind):
    found = await two_channels.on_our_saver(address(kind))
    assert found.lost == 0
    assert found.refused > 0, "two runs at once from one checkpoint cannot both stand"
