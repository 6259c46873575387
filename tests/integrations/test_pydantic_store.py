"""The port `ConversationStore` of PydanticAI: what its docstrings promise, of theirs and of ours."""

import anyio
import pytest

pytest.importorskip("pydantic_ai.conversation_store", reason="needs the extra pydantic-ai")

from pydantic_ai import Agent, BinaryContent, RunUsage
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.test import TestModel as Model

from ctxbridge import Bridge, errors, open_store
from ctxbridge.integrations.pydantic_store import ConversationStore

from .conftest import PHONE, round_trips

ID = str(PHONE)


def asks(text):
    return ModelRequest(parts=[UserPromptPart(text)])


def answers(text):
    return ModelResponse(parts=[TextPart(text)])


def words(conversation):
    return [part.content for message in conversation.messages for part in message.parts]


async def saved(store, *texts, id=ID, **options):
    conversation = Conversation(conversation_id=id, messages=[asks(t) for t in texts])
    await store.save(conversation, **options)
    return conversation


@pytest.fixture(params=["theirs", "memory", "sqlite", "redis"])
async def kept(request, tmp_path):
    """Makes a store over what is stored: of ours another one each time, as another process would."""
    if request.param == "theirs":
        one = InMemoryConversationStore()
        yield lambda: one
        return
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/x.db"}.get(request.param)
    options = {}
    if url is None:
        url, options = request.getfixturevalue("server").url, {"prefix": f"port:{tmp_path.name}"}
    async with open_store(url, **options) as store, Bridge(store, tenant="acme") as bridge:
        yield lambda: ConversationStore(bridge)


class TestPort:
    async def test_what_is_not_there(self, kept):
        assert await kept().load(ID) is None
        assert await kept().load_entries(ID) is None
        await kept().delete(ID)
        assert await kept().list_conversations() == []

    async def test_a_save_appends_and_a_load_gives_what_was_saved(self, kept):
        conversation = await saved(kept(), "one", "two")
        conversation.usage = RunUsage(requests=3, input_tokens=7)
        conversation.messages.append(answers("three"))
        new = await kept().save(conversation)
        assert [entry.message for entry in new] == [answers("three")] or len(new) == 1
        loaded = await kept().load(ID)
        assert words(loaded) == ["one", "two", "three"]
        assert (loaded.usage.requests, loaded.revision) == (3, conversation.revision)
        assert words(await kept().load(ID, limit=2)) == ["two", "three"]
        assert words(await kept().load(ID, limit=0)) == []
        with pytest.raises(UserError):
            await kept().load(ID, limit=-1)

    async def test_a_window_that_was_loaded_appends_to_the_whole(self, kept):
        await saved(kept(), *"abcdef")
        window = await kept().load(ID, limit=2)
        window.messages.append(answers("g"))
        await kept().save(window)
        assert "".join(words(await kept().load(ID))) == "abcdefg"

    async def test_who_saves_second_upon_one_revision_conflicts(self, kept):
        await saved(kept(), "one")
        mine, yours = await kept().load(ID), await kept().load(ID)
        for one in (mine, yours):
            one.messages.append(answers("x"))
        await kept().save(mine)
        with pytest.raises(ConversationConflict):
            await kept().save(yours)
        with pytest.raises(ConversationConflict):
            await saved(kept(), "new")
        assert words(await kept().load(ID)) == ["one", "x"]

    async def test_of_many_at_once_one_wins(self, kept):
        await saved(kept(), "one")
        loaded = [await kept().load(ID) for _ in range(8)]
        outcomes = []

        async def save(number, one):
            one.messages.append(answers(f"{number}"))
            try:
                await kept().save(one)
                outcomes.append(number)
            except ConversationConflict:
                outcomes.append(None)

        async with anyio.create_task_group() as group:
            for number, one in enumerate(loaded):
                group.start_soon(save, number, one)
        [winner] = [n for n in outcomes if n is not None]
        assert words(await kept().load(ID)) == ["one", f"{winner}"]

    async def test_a_scope_keeps_it_to_its_owner(self, kept):
        await saved(kept(), "one", scope="ann")
        assert await kept().load(ID, scope="bob") is None
        await kept().delete(ID, scope="bob")
        assert words(await kept().load(ID, scope="ann")) == ["one"]
        await saved(kept(), "two", id="chat:other", scope="bob")
        listed = await kept().list_conversations(scope="bob")
        assert [r.conversation_id for r in listed] == ["chat:other"]
        listed = await kept().list_conversations()
        assert [r.conversation_id for r in listed] == ["chat:other", ID], "newest first"
        assert len(await kept().list_conversations(limit=1)) == 1

    async def test_deleted_and_made_again_it_is_another(self, kept):
        old = await saved(kept(), "old")
        await kept().delete(ID)
        assert await kept().load(ID) is None
        assert await kept().list_conversations() == []
        await saved(kept(), "new")
        old.messages.append(answers("x"))
        with pytest.raises(ConversationConflict):
            await kept().save(old)
        with pytest.raises(ConversationConflict):
            await kept().delete_record(ID, expected_revision=old.revision)
        assert words(await kept().load(ID)) == ["new"]

    async def test_a_branch_leaves_its_history_and_finds_back(self, kept):
        first = await saved(kept(), "one", "two", "three")
        entries = await kept().load_entries(ID)
        branched = await kept().branch(ID, at=1, expected_revision=first.revision)
        branched.messages.append(answers("else"))
        await kept().save(branched)
        assert words(await kept().load(ID)) == ["one", "else"]
        [record] = await kept().list_conversations()
        assert record.branches == [entries[-1].id]
        back = await kept().branch(
            ID, from_entry=entries[-1].id, expected_revision=branched.revision
        )
        assert words(back) == ["one", "two", "three"]
        with pytest.raises(ConversationConflict):
            await kept().branch(ID, at=1, expected_revision=first.revision)
        with pytest.raises(UserError):
            await kept().branch(ID, from_entry="nothing", expected_revision=back.revision)

    async def test_a_fork_shares_and_goes_its_own_way(self, kept):
        await saved(kept(), "one", "two")
        fork = await kept().fork(ID, at=1, new_conversation_id="chat:plan-b")
        fork.messages.append(answers("b"))
        await kept().save(fork)
        assert words(await kept().load("chat:plan-b")) == ["one", "b"]
        assert words(await kept().load(ID)) == ["one", "two"]
        await kept().delete(ID)
        assert words(await kept().load("chat:plan-b")) == ["one", "b"], "it outlives its source"
        with pytest.raises(ConversationConflict):
            await kept().fork("chat:plan-b", new_conversation_id="chat:plan-b")

    async def test_a_head_that_is_nowhere_conflicts(self, kept):
        record = ConversationRecord(conversation_id=ID, head_id="nowhere")
        with pytest.raises(ConversationConflict):
            await kept().write_record(record, expected_revision=None)
        with pytest.raises(KeyError):
            await kept().read_entry("nowhere")

    async def test_an_entry_is_found_by_its_id_alone(self, kept):
        entry = ConversationEntry(parent_id=None, message=asks("one"))
        record = ConversationRecord(conversation_id=ID, head_id=entry.id)
        await kept().write_record(record, new_entries=[entry], expected_revision=None)
        assert (await kept().read_entry(entry.id)).message == entry.message

    async def test_what_was_given_or_got_may_be_changed(self, kept):
        conversation = await saved(kept(), "one")
        conversation.messages[0].parts[0].content = "changed"
        store = kept()
        (await store.load(ID)).messages[0].parts[0].content = "changed"
        assert words(await store.load(ID)) == ["one"]

    async def test_bytes_and_odd_text_survive(self, kept):
        content = ["naïve 🙂", BinaryContent(b"\x00\xff", media_type="image/png")]
        conversation = Conversation(conversation_id=ID, messages=[asks(content)])
        await kept().save(conversation)
        text, image = (await kept().load(ID)).messages[0].parts[0].content
        assert (text, image.data, image.media_type) == ("naïve 🙂", b"\x00\xff", "image/png")

    async def test_runs_of_an_agent_go_on_from_it(self, kept):
        agent = Agent(Model())
        for number in range(3):
            conversation = await kept().load(ID) or Conversation(conversation_id=ID)
            result = await agent.run(f"{number}", conversation=conversation)
            await kept().save(result)
        assert len((await kept().load(ID)).messages) == 6


class TestOurs:
    async def test_costs_do_not_grow(self, far):
        async with Bridge(far, tenant="acme") as bridge:
            store = ConversationStore(bridge)
            conversation = await saved(store, "0", "0")
            costs = {}
            for number in range(1, 1_000):
                conversation.messages += [asks(f"{number:04}"), answers(f"{number:04}")]
                if number in {10, 999}:
                    loaded, asked = await store.load(ID, limit=20), round_trips(far)
                    await store.load(ID, limit=20)
                    reading = asked()
                    loaded.messages += [asks(f"{number:04}"), answers(f"{number:04}")]
                    await store.save(loaded)
                    costs[number] = (reading, asked())
                    conversation = await store.load(ID)
                else:
                    await store.save(conversation)
            assert costs == {10: (1, 2), 999: (1, 2)}

    async def test_erasing_the_contact_erases_it(self, bridge):
        store = ConversationStore(bridge)
        await saved(store, "secret", id=f"{ID}#order")
        await bridge.erase(PHONE)
        assert await store.load(f"{ID}#order") is None
        assert await ConversationStore(bridge).list_conversations() == []

    async def test_two_of_one_contact_stay_apart(self, bridge):
        store = ConversationStore(bridge)
        await saved(store, "a", id=f"{ID}#a")
        await saved(store, "b", id=f"{ID}#b")
        assert words(await store.load(f"{ID}#a")) == ["a"]

    async def test_two_who_both_see_an_old_head_cannot_both_write(self, bridge):
        """The look before a write may be a minute old; its key decides."""
        one, other = ConversationStore(bridge), ConversationStore(bridge)
        await saved(one, "one")
        mine, yours = await one.load(ID), await other.load(ID)
        for conversation in (mine, yours):
            conversation.messages.append(answers("x"))
        await one.save(mine)
        record = ConversationRecord(conversation_id=ID, head_id=None)
        with pytest.raises(ConversationConflict):
            await other.write_record(record, expected_revision=yours.revision)

    async def test_over_a_megabyte_is_refused(self, bridge):
        store = ConversationStore(bridge)
        with pytest.raises(errors.TooLarge):
            await saved(store, "x" * 10_000_000)
        assert await store.load(ID) is None
