"""Markdown to a tree: CommonMark with tables and struck text, and no HTML in it.

What an agent writes is no document: lines stay lines, and nothing that would swallow words is
read (link definitions, HTML).
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ctxbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_NESTED = 40
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
_ADDRESSES = ("https://", "http://", "mailto:", "tel:")


class Node:
    """A block: a paragraph, a list, a cell. `words` are the tokens of its text, if it has any."""

    __slots__ = ("blocks", "kind", "token", "words")

    def __init__(self, kind: str, token: "Token | None" = None) -> None:
        self.kind = kind
        self.token = token
        self.blocks: list[Node] = []
        self.words: Sequence[Token] = ()

    def attribute(self, name: str) -> Any:
        """An attribute of the token that began it."""
        return self.token.attrGet(name) if self.token is not None else None


def require() -> None:
    """Raise `ConfigurationError` where a package is missing that rendering needs."""
    try:
        import markdown_it  # noqa: F401
        import nh3  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            'rendering Markdown needs two packages: pip install "ctxbridge[render]"'
        ) from None


@lru_cache(maxsize=1)
def parser() -> "MarkdownIt":
    """The parser, which holds nothing of a text. Raises `ConfigurationError`."""
    require()
    from markdown_it import MarkdownIt

    settings = {"html": False, "breaks": True, "xhtmlOut": False, "maxNesting": MOST_NESTED}
    reader = MarkdownIt("commonmark", settings).enable(["table", "strikethrough"])
    return reader.disable(["code", "reference", "html_block", "html_inline"])


def tokens_of(text: str) -> "list[Token] | None":
    """The tokens of `text`; `None` where it nests so deeply that the parser drops words."""
    tokens = parser().parse(text)
    if max([token.level for token in tokens], default=0) >= MOST_NESTED - 2:
        return None
    for token in tokens:
        if "<" in token.content and token.children and _BREAK.search(token.content):
            token.children = [part for child in token.children for part in _with_breaks(child)]
    return tokens


def _with_breaks(token: "Token") -> "Iterator[Token]":
    """Models write ``<br>`` in tables, where Markdown has no line's end."""
    if token.type != "text":
        yield token
        return
    for place, words in enumerate(_BREAK.split(token.content)):
        if place:
            yield _token("hardbreak", "br")
        if words:
            yield _token("text", content=words)


def _token(kind: str, tag: str = "", content: str = "") -> "Token":
    from markdown_it.token import Token

    return Token(kind, tag, 0, content=content)


def tree_of(tokens: "Sequence[Token]") -> Node:
    """The blocks of a text under one root."""
    root = Node("root")
    path = [root]
    for token in tokens:
        if token.type == "inline":
            path[-1].words = token.children or ()
        elif token.nesting < 0:
            path.pop()
        else:
            node = Node(token.type.removesuffix("_open"), token)
            path[-1].blocks.append(node)
            if token.nesting > 0:
                path.append(node)
    return root


def is_address(href: str) -> bool:
    """Whether a link leads somewhere from a message: a web page, a mailbox, a telephone."""
    return href.lower().startswith(_ADDRESSES)
