"""What a form of Twilio's holds: words, choices, files, a place.

Source: twilio.com/docs/messaging/guides/webhook-request.
"""

import msgspec

from ctxbridge.channels._reading import is_web_address, media_type
from ctxbridge.errors import Malformed
from ctxbridge.model import Attachment, Choice, Opaque, Part, Text

MAX_MEDIA = 10
OPT_OUT = {"STOP": "opt_out.stop", "START": "opt_out.start", "HELP": "opt_out.help"}


def words(fields: dict[str, str]) -> tuple[Part, ...]:
    """The text, and what was chosen, where a button or an entry of a list was pressed."""
    body = fields.get("Body", "")
    for id_name, label_name in (("ButtonPayload", "ButtonText"), ("ListId", "ListTitle")):
        if id := fields.get(id_name, ""):
            label = fields.get(label_name) or body or id
            return (Text(body or label), Choice(id, label))
    return (Text(body),) if body else ()


def flags(fields: dict[str, str]) -> tuple[str, ...]:
    opt_out = OPT_OUT.get(fields.get("OptOutType", "").strip().upper())
    names = ("Forwarded", "FrequentlyForwarded")
    forwarded = any(fields.get(name, "").lower() == "true" for name in names)
    return tuple(filter(None, (opt_out, "forwarded" if forwarded else None)))


def media(fields: dict[str, str]) -> tuple[tuple[Part, ...], tuple[Malformed, ...]]:
    """The attachments, by reference: nothing is fetched. What cannot be one is an error."""
    given = fields.get("NumMedia", "").strip() or "0"
    if not (given.isascii() and given.isdigit()):
        return (), (Malformed("NumMedia is no number"),)
    errors = []
    count = int(given[:8])
    if count > MAX_MEDIA:
        errors.append(Malformed(f"NumMedia is over {MAX_MEDIA}; the rest is left out"))
    found: list[Part] = []
    for n in range(min(count, MAX_MEDIA)):
        url = fields.get(f"MediaUrl{n}", "")
        if not is_web_address(url):
            errors.append(Malformed("a MediaUrl is missing or no web address"))
            continue
        found.append(Attachment(media_type(fields.get(f"MediaContentType{n}", "")), where=url))
    return tuple(found), tuple(errors)


def location(fields: dict[str, str]) -> tuple[Part, ...]:
    """A WhatsApp location has no words of the sender; it is kept as it came."""
    names = ("Latitude", "Longitude", "Label", "Address")
    place = {name.lower(): fields[name][:512] for name in names if fields.get(name)}
    if "latitude" not in place or "longitude" not in place:
        return ()
    return (Opaque("twilio.location", msgspec.json.encode(place)),)
