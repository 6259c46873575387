"""HTML for mail: what markdown-it writes, cleaned by nh3, in a page of its own.

No scripts, styles, forms or frames, and nothing that is fetched when the mail is opened: an image
is a link to it, so that nobody learns who reads. And no words but those that guards have judged:
the title of a link is left out.
"""

import html
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ctxbridge.rules.rendering.inline import Loss
from ctxbridge.rules.rendering.reading import is_address, parser

if TYPE_CHECKING:
    from markdown_it.token import Token
    from nh3 import Cleaner

TAGS = frozenset(
    {
        "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a",
        "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
    }
)  # fmt: skip
SCHEMES = frozenset({"http", "https", "mailto", "tel"})
MOST_CHARACTERS = 256 * 1024
"""A table of a few kilobytes may be cells without end. Beyond this the words alone are a page."""


def body_of(tokens: "Sequence[Token]", losses: set[Loss]) -> str:
    """The tokens as clean HTML; empty where it would be too long."""
    _note(tokens, losses)
    reader = parser()
    written = reader.renderer.render(tokens, reader.options, {})
    if len(written) > MOST_CHARACTERS:
        losses.add("markup")
        return ""
    return cleaned(written)


def cleaned(body: str) -> str:
    """`body` with the tags above and links to the schemes above; all else as its words."""
    return _cleaner().clean(body)


def page(body: str) -> str:
    """A whole document around `body`. Its direction is that of its own words."""
    return (
        '<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"></head>\n'
        f'<body dir="auto">\n{body}</body>\n</html>\n'
    )


@lru_cache(maxsize=1)
def _cleaner() -> "Cleaner":
    import nh3

    return nh3.Cleaner(
        tags=set(TAGS), attributes={"a": {"href"}, "ol": {"start"}, "*": set()},
        url_schemes=set(SCHEMES), attribute_filter=_kept,
        link_rel="noopener noreferrer nofollow",
    )  # fmt: skip


def _kept(_tag: str, attribute: str, value: str) -> str | None:
    """A link that leads nowhere from a mail leads nowhere."""
    return value if attribute != "href" or is_address(value) else None


def _note(tokens: "Sequence[Token]", losses: set[Loss]) -> None:
    """Make links of images, and note what is not shown."""
    for token in tokens:
        for child in token.children or ():
            href: Any = child.attrGet("href")
            if href is not None and not is_address(str(href)):
                losses.add("link")
            if child.attrGet("title") is not None:
                losses.add("title")
        if token.children and any(child.type == "image" for child in token.children):
            losses.add("image")
            token.children = [_as_link(child) for child in token.children]


def _as_link(token: "Token") -> "Token":
    """An image as a link to it, with the words that stand for it."""
    if token.type != "image":
        return token
    from markdown_it.token import Token

    source = str(token.attrGet("src") or "")
    words = html.escape(token.content or source)
    shown = Token("html_inline", "", 0)
    shown.content = f'<a href="{html.escape(source)}">{words}</a>'
    return shown
