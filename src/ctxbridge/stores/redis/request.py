"""What is asked of a server in one write."""

from collections.abc import Callable, Sequence
from typing import Any

TAIL = 3
"""Head, contact and state stand behind the entries of a list."""


class Request:
    """What is sent in one write: commands, and how its answer is known to be an answer to it."""

    __slots__ = ("_spell_out", "abandoned", "data", "looks", "nonce", "parts", "wanted")

    def __init__(
        self,
        parts: Sequence[bytes],
        nonce: bytes = b"",
        spell_out: Callable[[], Sequence[bytes]] | None = None,
        *,
        looks: bool = False,
    ) -> None:
        self.parts = parts
        self.data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.wanted = len(parts)
        self.nonce = nonce
        self.looks = looks
        """Whether the last reply is what stands in a conversation's list."""
        self._spell_out = spell_out
        self.abandoned: Callable[[Any], None] | None = None
        """Told of the outcome where the caller was cancelled."""

    def spelled_out(self) -> "Request":
        """The same with the script's text instead of its hash, for a server that lacks it."""
        if self._spell_out is None:
            return self
        request = Request(self._spell_out(), self.nonce, looks=self.looks)
        request.abandoned = self.abandoned
        return request

    def is_answered_by(self, reply: Any) -> bool:
        """Whether `reply` is of the right form, and bound to this very request by its nonce."""
        first = last = reply
        if self.wanted > 1:
            first, last = reply[0], reply[-1]
        if self.nonce and not (type(first) is list and len(first) > 1 and first[0] == self.nonce):
            return False
        return not self.looks or is_list_of_bytes(last)


def is_list_of_bytes(reply: Any) -> bool:
    """Whether this may be what stands in a list; a script's answer has numbers at its end."""
    if type(reply) is not list or (reply and reply[-1].__class__ is not bytes):
        return False
    return len(reply) < TAIL or reply[-TAIL].__class__ is bytes
