"""How each form marks words up.

Sources: docs.slack.dev/messaging/formatting-message-text (mrkdwn), faq.whatsapp.com/539178204879377
(formatting). Neither has a way to write its own marks as plain characters, so a lone ``*`` of the
text stays what it is, and may be taken for one.
"""

import html
import re
from collections.abc import Callable

from msgspec import Struct

from ctxbridge.model.capabilities import Form

_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")


class Marks(Struct, frozen=True):
    """The marks around words, empty where the form has none; `escape` makes a text safe in it."""

    strong: str = ""
    emphasis: str = ""
    struck: str = "~~"
    code: str = ""
    fence: str = ""
    bullet: str = "- "
    escape: Callable[[str], str] = str
    labelled: bool = False
    """Whether a link can stand behind other words: ``<address|words>``."""


def _for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


PLAIN = Marks()
MARKS: dict[Form, Marks] = {
    "plain": PLAIN,
    "slack": Marks("*", "_", "~", "`", "```", "• ", _for_slack, labelled=True),
    "whatsapp": Marks("*", "_", "~", "`", "```"),
}
"""Of the forms that are marks in a text. HTML is none: see `pages`."""


def paragraphs(text: str) -> str:
    """Plain words as HTML: what is parted by blank lines is a paragraph, lines stay lines."""
    parted = [part.strip("\n") for part in _BLANK_LINES.split(text.strip("\n"))]
    safe = [html.escape(part, quote=False).replace("\n", "<br>\n") for part in parted if part]
    return "".join([f"<p>{part}</p>\n" for part in safe])


def plainly(text: str, form: Form) -> str:
    """Plain words as `form` writes them: no word is taken for a mark that the form can escape."""
    return paragraphs(text) if form == "html" else MARKS[form].escape(text)
