"""What Slack's events are made of, as far as it is read, and where something came by."""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ctxbridge.model import Address, Assurance, Endpoint

PROVIDER = CHANNEL = "slack"
HORIZON_SECONDS = 24 * 3600.0

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, no UTF-8, or nested too deep."""

_TS = re.compile(r"([0-9]{1,11})\.([0-9]{1,6})")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Profile(Struct):
    """Whose bot it is."""

    app_id: str | None = None


class Edited(Struct):
    """When a message was edited."""

    ts: str | None = None


class Message(Struct):
    """A message, as an event of its own or inside of one."""

    ts: str = ""
    user: str | None = None
    text: str | None = None
    subtype: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    bot_profile: Profile | None = None
    thread_ts: str | None = None
    files: list[Raw] | None = None
    edited: Edited | None = None


class Item(Struct):
    """What a reaction is about."""

    type: str = ""
    channel: str = ""
    ts: str = ""


class Event(Message):
    """The event inside a callback: of many types, and not all of their fields."""

    type: str = ""
    # In events about them these are objects, and none that we read.
    user: Any = None
    channel: Any = None
    event_ts: str | None = None
    deleted_ts: str | None = None
    message: Message | None = None
    previous_message: Message | None = None
    item: Item | None = None
    reaction: str | None = None


class Authorization(Struct):
    """For whom the event was sent to us."""

    team_id: str | None = None
    enterprise_id: str | None = None
    user_id: str | None = None
    is_bot: bool = False
    is_enterprise_install: bool = False


class Envelope(Struct):
    """What is around an event."""

    type: str = ""
    challenge: str | None = None
    team_id: str | None = None
    enterprise_id: str | None = None
    api_app_id: str | None = None
    event_id: str | None = None
    event: Event | None = None
    authorizations: list[Authorization] | None = None
    authed_users: list[str] | None = None


class File(Struct):
    """A file that came along."""

    mimetype: str | None = None
    name: str | None = None
    size: int | None = None
    url_private_download: str | None = None
    url_private: str | None = None


class Where(Struct, frozen=True):
    """The workspace and the app that something came by, and how sure that is.

    `scope` is the installation: the workspace, or the whole organisation.
    """

    scope: str
    app: str
    sure: bool

    @property
    def endpoint(self) -> Endpoint:
        """Our side."""
        return Endpoint(CHANNEL, self.app or "slack")

    @property
    def assurance(self) -> Assurance:
        """Slack vouches for its users; without a signature nobody does."""
        return Assurance.CHANNEL if self.sure else Assurance.CLAIMED

    def user(self, id: str) -> Address:
        """Somebody of that workspace."""
        return Address(CHANNEL, id, self.scope)

    def message(self, channel: str, ts: str) -> str:
        """The id of a message."""
        return f"{self.scope}:{channel}:{ts}"


def is_id(value: object) -> bool:
    """Whether it looks as Slack's ids do."""
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def id_or_none(value: object) -> str:
    """The id; empty if it is none."""
    return value if isinstance(value, str) and is_id(value) else ""


def milliseconds(ts: str | None) -> int:
    """Unix milliseconds of a ``ts``; 0 if it is none."""
    found = _TS.fullmatch(ts or "")
    return int(found[1]) * 1000 + int(found[2].ljust(6, "0")) // 1000 if found else 0


def thread_of(channel: str, ts: str, thread_ts: str | None) -> str:
    """Channel and thread to answer in; a direct message that is in no thread is answered beside."""
    root = thread_ts if milliseconds(thread_ts) else "" if channel.startswith("D") else ts
    return f"{channel}:{root}" if root else channel
