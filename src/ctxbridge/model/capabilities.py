"""What a channel can show and do, as a table that the renderer keeps to."""

from typing import Literal

from msgspec import Struct

Form = Literal["plain", "html", "slack", "whatsapp"]
"""How words are marked up: not at all, or as the channel's own language has it."""

Unit = Literal["character", "utf16", "byte", "segment"]
"""What a channel counts its limit in. A segment is an SMS part (3GPP 23.038, 23.040)."""


class Capabilities(Struct, frozen=True, gc=False):
    """What one channel of one provider can show and do; 0 is "no limit", or "none" of buttons.

    `longest` is how many of `unit` one message may have, `buttons` how many answers can be offered
    as buttons, of at most `button_characters` each, and `choices` how many in a list, of at most
    `choice_characters`. Buttons and lists stand under a text of at most `above_choices` characters.
    `window_seconds` is how long after the contact's last word a free text may be sent.
    """

    form: Form = "plain"
    longest: int = 0
    unit: Unit = "character"
    buttons: int = 0
    button_characters: int = 0
    choices: int = 0
    media: bool = False
    subject: bool = False
    threads: bool = False
    edits: bool = False
    deletes: bool = False
    reactions: bool = False
    typing: bool = False
    receipts: tuple[str, ...] = ()
    window_seconds: float = 0.0
    choice_characters: int = 0
    above_choices: int = 0
