"""The control of a tenant: golden bytes, and what damaged ones become."""

import pytest

from ctxbridge.errors import CorruptRecord, UnknownFormat
from ctxbridge.model import Canary, Control, Halt, Route, Scope, Withdrawn
from ctxbridge.rules.control import epoch_of
from ctxbridge.wire.control1 import decode_control, encode_control

WHOLE = Control(
    1_790_000_000_001,
    (
        Route(
            "support", "v11", Canary("v13", 5.0, ("sms",), ("vip",)),
            (Withdrawn("v12", "handoff", "release"),), ("v10",), 3600.0, ("v10", "v11", "v12"),
        ),
    ),
    (Halt(Scope("support", "v12", "sms", "sms:+1", "ab", "cd", "marketing"), "kill", "ann", "x", 5),),
    "rollback support: v12 to v11", "ann", "it swears", 1_790_000_000_000, 7,
)  # fmt: skip
GOLDEN = {
    "whole": "000001a0c4506c010198cf000001a0c4506c019197a7737570706f7274a376313195a3763133cb401400000000000091a3736d7391a3766970c29193a3763132a768616e646f6666a772656c6561736591a3763130cb40ac20000000000093a3763130a3763131a3763132919597a7737570706f7274a3763132a3736d73a6736d733a2b31a26162a26364a96d61726b6574696e67a46b696c6ca3616e6ea17805bc726f6c6c6261636b20737570706f72743a2076313220746f20763131a3616e6ea9697420737765617273cf000001a0c4506c0007",
    "none": "00000000000000000198009090a0a0a00000",
}
VALUES = {"whole": WHOLE, "none": Control()}


@pytest.mark.parametrize("name", VALUES)
def test_golden_bytes_are_written_and_read_as_ever(name):
    golden = bytes.fromhex(GOLDEN[name])
    assert encode_control(VALUES[name]) == golden
    assert decode_control(golden) == VALUES[name]
    assert epoch_of(golden) == VALUES[name].epoch


def test_nothing_is_the_control_of_nobody():
    assert decode_control(b"") == Control()


@pytest.mark.parametrize("cut", range(1, 60))
def test_what_is_cut_off_is_reported(cut):
    with pytest.raises(CorruptRecord):
        decode_control(encode_control(WHOLE)[:cut])


def test_what_a_newer_release_has_written_is_not_guessed_at():
    data = encode_control(WHOLE)
    with pytest.raises(UnknownFormat):
        decode_control(data[:8] + b"\x02" + data[9:])
