"""What happens to a message that comes while another turn of the conversation is running."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec import Struct

from ctxbridge.errors import ConfigurationError

Mode = Literal["merge", "queue", "supersede", "reject"]

LONGEST_QUIET_SECONDS = 60.0
_MOST_QUIET_TIMES = 10


class Overlap(Struct, frozen=True):
    """How the messages of one channel overlap.

    ``merge``: they wait, and what waits when the turn ends becomes one turn. ``queue``: they wait,
    and each gets a turn of its own. ``supersede``: the running turn is fenced and told
    (`Turn.superseded`), and a new one starts with all messages. ``reject``: `Busy` is raised and
    nothing is stored. Messages of different assurance never become one turn, and none of them takes
    another's turn away.

    With ``merge``, a turn begins only when nothing has come for `quiet_seconds` (0: at once), but
    waits no longer than ten times that. It costs one look-up more.
    """

    mode: Mode = "merge"
    quiet_seconds: float = 0.0

    @property
    def joins(self) -> bool:
        """Whether messages that wait become one turn."""
        return self.mode in {"merge", "supersede"}

    @property
    def patience_seconds(self) -> float:
        """How long to wait for quiet at most."""
        return self.quiet_seconds * _MOST_QUIET_TIMES


Overlaps = Overlap | Mode | Mapping[str, Overlap | Mode]
"""One for all channels, or one for each; channels that are not named merge."""


def overlaps_of(given: Overlaps) -> Mapping[str, Overlap]:
    """What was given, by channel; ``""`` stands for every other. Raises `ConfigurationError`."""
    by_channel = given if isinstance(given, Mapping) else {"": given}
    found = {channel: _overlap(one) for channel, one in by_channel.items()}
    found.setdefault("", Overlap())
    return found


def _overlap(given: Overlap | Mode) -> Overlap:
    overlap: Any = Overlap(given) if isinstance(given, str) else given
    if not isinstance(overlap, Overlap) or overlap.mode not in get_args(Mode):
        raise ConfigurationError(f"an overlap is one of {', '.join(get_args(Mode))}, or an Overlap")
    if not 0 <= overlap.quiet_seconds <= LONGEST_QUIET_SECONDS:
        raise ConfigurationError(f"quiet_seconds is from 0 to {LONGEST_QUIET_SECONDS:.0f}")
    if overlap.quiet_seconds and overlap.mode != "merge":
        raise ConfigurationError("only messages that merge can wait for quiet")
    return overlap
