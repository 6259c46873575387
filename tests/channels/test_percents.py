"""Percent encoding, undone by the piece: the same bytes as the library's, in bounded memory."""

import tracemalloc
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from ctxbridge.channels._reading import PIECE, percent_decoded

ESCAPES = st.lists(
    st.sampled_from([b"%", b"%4", b"%41", b"%zz", b"a", b"\xff", b"%%", b"=", b"\n"])
)


@given(ESCAPES, st.integers(0, 5))
def test_it_is_what_the_library_makes_of_it(pieces, shift):
    """Around the places where it is cut, too."""
    data = b"x" * (PIECE - shift) + b"".join(pieces)
    assert percent_decoded(data) == unquote_to_bytes(data)
    assert percent_decoded(data * 2) == unquote_to_bytes(data * 2)


def test_a_cut_that_does_not_look_would_be_seen():
    """The control: some of the shifts above cut an escape in two."""

    def careless(data):
        pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
        return b"".join(map(unquote_to_bytes, pieces))

    data = b"x" * (PIECE - 1) + b"%41"
    assert careless(data) != unquote_to_bytes(data) == percent_decoded(data)


def test_a_form_of_percents_alone_takes_no_more_than_twice_its_size():
    data = b"%41" * 100_000
    tracemalloc.start()
    try:
        percent_decoded(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 512 * 1024
    finally:
        tracemalloc.stop()
