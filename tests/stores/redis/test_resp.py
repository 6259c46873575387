"""Replies are read alike with hiredis and without, in whatever pieces they arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge.errors import ReplyMismatch
from ctxbridge.stores.redis.resp import (
    MISSING,
    PythonReader,
    ServerError,
    new_reader,
    pack,
)

LINES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
REPLIES = st.recursive(
    st.one_of(
        st.binary(max_size=40), st.integers(-(2**63), 2**63 - 1), st.none(), st.booleans(),
        st.builds(lambda text: ServerError(f"ERR {text}"), LINES),
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def packed(reply):
    match reply:
        case bool():
            return b"#t\r\n" if reply else b"#f\r\n"
        case None:
            return b"_\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case ServerError():
            return b"-" + f"{reply.code} {reply.rest}".encode() + b"\r\n"
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(packed, reply))


def same(one, other):
    if isinstance(one, ServerError):
        return isinstance(other, ServerError) and one.code == other.code
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@given(st.lists(REPLIES, max_size=5), st.data())
def test_what_was_sent_is_read_in_whatever_pieces_it_comes(replies, data):
    sent = b"".join(map(packed, replies))
    for reader in (PythonReader(), new_reader()):
        read, at = [], 0
        while at < len(sent):
            size = data.draw(st.integers(1, len(sent)))
            reader.feed(sent, at, min(size, len(sent) - at))
            at += size
            while (reply := reader.gets()) is not MISSING:
                read.append(reply)
        assert same(replies, read)


@given(st.binary(max_size=200))
def test_any_bytes_are_replies_or_garbled_and_never_anything_else(noise):
    reader = PythonReader()
    reader.feed(noise)
    try:
        while reader.gets() is not MISSING:
            pass
    except ReplyMismatch:
        pass


@pytest.mark.parametrize("data", [b"!\r\n", b"$x\r\n", b"*1\r\n" * 50 + b"*1\r\n", b":1x\r\n"])
def test_what_is_no_reply_is_said_to_be_none(data):
    reader = PythonReader()
    reader.feed(data)
    with pytest.raises(ReplyMismatch):
        reader.gets()


def test_maps_pushes_and_the_rest_of_resp3():
    reader = PythonReader()
    reader.feed(
        b"%1\r\n+a\r\n:1\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n,1.5\r\n(7\r\n=5\r\ntxt:x\r\n~1\r\n:2\r\n"
    )
    assert [reader.gets() for _ in range(6)] == [
        {b"a": 1},
        [b"invalidate", None],
        1.5,
        7,
        b"x",
        [2],
    ]


def test_a_command_is_packed_as_the_server_reads_it():
    assert pack(b"GET", b"k\r\n") == b"*2\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\n"
