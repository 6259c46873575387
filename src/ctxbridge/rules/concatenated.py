"""SMS that a provider hands over in pieces, put together again (3GPP TS 23.040, 9.2.3.24.1).

A piece names its message by a reference that senders use again within hours, says how many there
are and which one it is. Pieces come out of order, twice, or never. So what is held has a time
limit, after which it is given as far as it came, as partial. A pure machine: its state is a value.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.model import Address, Endpoint

LIMIT_MILLISECONDS = 60_000
"""How long to wait for what is missing: carriers deliver the pieces of one SMS within seconds."""
MOST_PIECES = 255
MOST_HELD = 1_000
"""Of a state. The oldest is given as it is where another one begins beyond that."""


class Piece(Struct, frozen=True, gc=False):
    """One piece: number `part` of `total`, both from 1. `at` is when it came (Unix milliseconds).

    `message_id` is the provider's id of this piece.
    """

    sender: Address
    endpoint: Endpoint
    reference: int
    total: int
    part: int
    text: str
    message_id: str
    at: int


class Whole(Struct, frozen=True, gc=False):
    """A message as far as it came: its pieces in order, with holes where it is `partial`."""

    pieces: tuple[Piece, ...]
    partial: bool = False

    @property
    def text(self) -> str:
        """The words, one piece after the other."""
        return "".join([piece.text for piece in self.pieces])

    @property
    def message_id(self) -> str:
        """The id of the first of its pieces: what the message is called by."""
        return self.pieces[0].message_id


class Held(Struct, frozen=True, gc=False):
    """The pieces of one message. What is `given` has been handed on, and tells repetitions."""

    pieces: tuple[Piece, ...]
    since: int
    given: bool = False

    def is_of(self, piece: Piece) -> bool:
        """Whether the piece claims to belong to it."""
        one = self.pieces[0]
        return _key(one) == _key(piece)

    def at(self, part: int) -> Piece | None:
        """The piece of this number."""
        return next((one for one in self.pieces if one.part == part), None)


class Gathered(Struct, frozen=True, gc=False):
    """What is held now, and what is to be handed on, oldest first."""

    held: tuple[Held, ...] = ()
    whole: tuple[Whole, ...] = ()


def gather(
    held: Iterable[Held], piece: Piece, limit_milliseconds: int = LIMIT_MILLISECONDS
) -> Gathered:
    """Take a piece in. Whatever it is, its words are handed on sooner or later, once.

    A repeated piece is dropped. Another text under the same number is another message under a
    reference that was used again: what is held of the older one is given as partial. Numbers that
    cannot be make a message of the piece alone, as partial.
    """
    gathered = overdue(held, piece.at, limit_milliseconds)
    if not 1 <= piece.part <= piece.total <= MOST_PIECES:
        return replace(gathered, whole=(*gathered.whole, Whole((piece,), partial=True)))
    mine = next((one for one in gathered.held if one.is_of(piece)), None)
    if mine is None:
        return _put(gathered, Held((piece,), piece.at))
    known = mine.at(piece.part)
    if known is not None and known.text == piece.text:
        return gathered
    if mine.given or known is not None:
        return _put(_without(gathered, mine), Held((piece,), piece.at))
    pieces = sorted([*mine.pieces, piece], key=lambda one: one.part)
    others = tuple([one for one in gathered.held if one is not mine])
    return _put(replace(gathered, held=others), replace(mine, pieces=tuple(pieces)))


def overdue(
    held: Iterable[Held], now: int, limit_milliseconds: int = LIMIT_MILLISECONDS
) -> Gathered:
    """Give up waiting for what has been held for longer than the limit."""
    gathered = Gathered(tuple(held))
    for one in gathered.held:
        if now - one.since >= limit_milliseconds:
            gathered = _without(gathered, one)
    return gathered


def _put(gathered: Gathered, held: Held) -> Gathered:
    """Hold it; give it where it is complete, and the oldest where there are too many."""
    whole = gathered.whole
    if len(held.pieces) == held.pieces[0].total:
        whole, held = (*whole, Whole(held.pieces)), replace(held, given=True)
    gathered = Gathered((*gathered.held, held), whole)
    return _without(gathered, gathered.held[0]) if len(gathered.held) > MOST_HELD else gathered


def _without(gathered: Gathered, one: Held) -> Gathered:
    """Let go of it; what was not given yet is given as it is."""
    others = tuple([other for other in gathered.held if other is not one])
    left = () if one.given else (Whole(one.pieces, partial=True),)
    return Gathered(others, (*gathered.whole, *left))


def _key(piece: Piece) -> tuple[Address, Endpoint, int, int]:
    return piece.sender, piece.endpoint, piece.reference, piece.total
