"""Moving the floor: what is handed over, to whom, and what a helpdesk is shown of it."""

from typing import Any, Literal

from msgspec import Struct

FloorWord = Literal["agent", "human", "queue"]
Step = Literal["", "offered", "accepted", "passed", "released", "expired"]

PREFIX = "handoff."
"""What the kinds of the events begin with that tell of a handoff; a step's word follows."""


class Handoff(Struct, frozen=True):
    """The floor as the last step has left it, and all that goes along with it.

    `floor` says who may speak, and `holder` who that is by name: a colleague, empty for the queue
    and the agent. `last_holder` is the colleague who had it last, if one had. `step` is what was
    done last, by whom (`by`) and when (`at`). `epoch` is the gate epoch that the step has made: it
    names the step, and `before` names the one before it. `contact` and `conversation` are ids, 32
    hexadecimal digits each.

    `to` is whom it was meant for, empty for anybody. `reason`, `summary` and `promised` (what the
    customer was told will happen) are those of the offer. `otherwise` is what the customer is told
    if nobody comes until `expires_at`, 0 for an offer that does not run out. `accepted_at` is the
    begin of the human stretch, `note` what its last colleague left for the agent. Times are Unix
    milliseconds, 0 for none.
    """

    floor: FloorWord
    epoch: int
    contact: str
    conversation: str
    step: Step = ""
    by: str = ""
    to: str = ""
    holder: str = ""
    last_holder: str = ""
    reason: str = ""
    summary: str = ""
    promised: tuple[str, ...] = ()
    otherwise: str = ""
    note: str = ""
    at: int = 0
    offered_at: int = 0
    expires_at: int = 0
    accepted_at: int = 0
    before: int = 0


class PackedAddress(Struct, frozen=True):
    """One address of the contact; `assurance` is how sure we are that it is theirs, in words."""

    address: str
    assurance: str


class PackedMessage(Struct, frozen=True):
    """One message of the conversation. `cut` says that the end of its text is missing.

    `seq` is its place in the log, `at` when we had it (Unix milliseconds), `files` the names or
    types of what came along.
    """

    seq: int
    author: Literal["contact", "agent", "human_agent", "system"]
    channel: str
    address: str
    text: str
    at: int
    files: tuple[str, ...] = ()
    cut: bool = False


class PackedDelivery(Struct, frozen=True):
    """A message of ours that has not left, failed or is unknown; `seq` is its place in the log."""

    seq: int
    status: str
    code: str = ""


class Package(Struct, frozen=True):
    """What a colleague needs to go on: a handoff, and the conversation that it is about.

    `messages` are the newest that a model may see, the oldest first, of which up to 64 KiB of text
    are here; `earlier` says how many more there are. `state` is the team's own, as JSON has it, and
    `None` where it is over 64 KiB (`state_cut`). `deliveries` are those of these messages that have
    not left yet, failed, or are unknown. `version` grows when a field changes its meaning; new
    fields may come at any time.
    """

    handoff: Handoff
    addresses: tuple[PackedAddress, ...] = ()
    messages: tuple[PackedMessage, ...] = ()
    earlier: int = 0
    state: Any = None
    state_cut: bool = False
    deliveries: tuple[PackedDelivery, ...] = ()
    seq: int = 0
    type: Literal["handoff"] = "handoff"
    version: int = 1
