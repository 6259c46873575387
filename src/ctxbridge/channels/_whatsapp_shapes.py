"""The JSON of WhatsApp's webhooks, as far as it is read; the rest of it is passed over.

What is `Raw` is read by itself, so that one that cannot be does not lose the others.
"""

import msgspec
from msgspec import Raw, Struct


class Body(Struct):
    entry: list[Raw]


class Entry(Struct):
    id: str = ""
    changes: list[Raw] = []


class Change(Struct):
    field: str = ""
    value: Raw = Raw()


class Metadata(Struct):
    phone_number_id: str = ""


class Value(Struct):
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    messages: list[Raw] = []
    message_echoes: list[Raw] = []
    statuses: list[Raw] = []
    user_preferences: list[Raw] = []
    user_id_update: Raw = Raw()


class Context(Struct):
    id: str = ""
    forwarded: bool = False
    frequently_forwarded: bool = False


class Reaction(Struct):
    message_id: str = ""
    emoji: str = ""


class System(Struct):
    type: str = ""
    wa_id: str = ""
    user_id: str = ""
    previous_user_id: str = ""


class Edit(Struct):
    original_message_id: str
    message: Raw = Raw()


class Message(Struct, rename={"sender": "from", "sender_id": "from_user_id"}):
    id: str
    type: str = ""
    sender: str = ""
    sender_id: str = ""
    to: str = ""
    to_user_id: str = ""
    timestamp: str | int = ""
    group_id: str = ""
    context: Raw = Raw()
    reaction: Raw = Raw()
    system: Raw = Raw()
    edit: Raw = Raw()
    revoke: Raw = Raw()


class Failure(Struct):
    code: int = 0


class Status(Struct):
    id: str
    status: str = ""
    timestamp: str | int = ""
    recipient_id: str = ""
    recipient_user_id: str = ""
    recipient_type: str = ""
    recipient_participant_id: str = ""
    recipient_participant_user_id: str = ""
    errors: list[Failure] = []
    biz_opaque_callback_data: str = ""


class Rotation(Struct):
    previous: str = ""
    current: str = ""


class Update(Struct):
    user_id: Rotation
    timestamp: str | int = ""


class Preference(Struct):
    wa_id: str = ""
    user_id: str = ""
    category: str = ""
    value: str = ""
    timestamp: str | int = ""


BODY = msgspec.json.Decoder(Body)
ENTRY = msgspec.json.Decoder(Entry)
CHANGE = msgspec.json.Decoder(Change)
VALUE = msgspec.json.Decoder(Value)
MESSAGE = msgspec.json.Decoder(Message)
CONTEXT = msgspec.json.Decoder(Context)
REACTION = msgspec.json.Decoder(Reaction)
SYSTEM = msgspec.json.Decoder(System)
EDIT = msgspec.json.Decoder(Edit)
STATUS = msgspec.json.Decoder(Status)
UPDATES = msgspec.json.Decoder(list[Update] | Update)
PREFERENCE = msgspec.json.Decoder(Preference)
