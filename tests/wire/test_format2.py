"""Format 2: a state and what guards keep, golden bytes and damage."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, wire

GOLDEN = json.loads((Path(__file__).parent / "golden" / "format2.json").read_text())
STATES = {
    "state": wire.StateBytes(3, 2, b'{"a":1}', (("judge", b"\x01\x00\x01\x01\x80"), ("pace", b"\x01"))),
    "state_of_guards_alone": wire.StateBytes(0, 0, b"", (("judge", b"\x01"),)),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_golden_bytes_are_written_and_read_as_ever(name):
    golden = bytes.fromhex(GOLDEN[name])
    assert wire.decode_state(golden) == STATES[name]
    assert wire.encode_state(STATES[name]) == golden
    assert golden[0] == wire.STATE_FORMAT


def test_a_state_without_guards_stays_in_the_older_format():
    assert wire.encode_state(wire.StateBytes(1, 1, b"x"))[0] == 1


@given(st.binary(max_size=200))
def test_damage_is_told(data):
    with contextlib.suppress(errors.CorruptRecord):
        assert isinstance(wire.decode_state(b"\x02" + data), wire.StateBytes)


@pytest.mark.parametrize("cut", range(1, 10))
def test_what_is_cut_off_is_never_read(cut):
    whole = bytes.fromhex(GOLDEN["state"])
    with pytest.raises(errors.CorruptRecord):
        wire.decode_state(whole[:-cut])
