"""What an agent wrote, as each channel can show it: nothing is cut short, and losses are told.

Two steps, since guards stand between them. `drafted` reads a text and makes its plain words, which
is what guards judge: no mark of any channel can hide anything from them. `Draft.laid_out` then
makes the messages of what they let through, in the form and within the limits of the channel.
"""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.model.capabilities import Capabilities, Form
from ctxbridge.rules.rendering import pages
from ctxbridge.rules.rendering.forms import MARKS, PLAIN, plainly
from ctxbridge.rules.rendering.inline import Loss
from ctxbridge.rules.rendering.reading import require, tokens_of, tree_of
from ctxbridge.rules.rendering.text import Writer
from ctxbridge.rules.sms import segments
from ctxbridge.rules.splitting import fits, length, split

BETWEEN = "\n\n"


class Shown(Struct, frozen=True, gc=False):
    """Words, and the same in the channel's own form; empty where that is the words themselves."""

    words: str
    markup: str = ""


class Rendered(Struct, frozen=True, gc=False):
    """A text as one or more messages. `losses` are what could not be shown: see `inline.Loss`."""

    parts: tuple[Shown, ...]
    form: Form = "plain"
    losses: tuple[str, ...] = ()

    @property
    def html(self) -> str:
        """The page of a mail; empty for other forms."""
        return self.parts[0].markup if self.form == "html" and self.parts else ""

    @property
    def segments(self) -> int:
        """How many SMS it is, where it leaves as such."""
        return sum([segments(part.words) for part in self.parts])


class Draft(Struct, frozen=True, gc=False):
    """A text that was read: its blocks, each in plain words and in the form of its channel."""

    blocks: tuple[Shown, ...]
    form: Form = "plain"
    losses: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """All of it in plain words: what guards judge, and what is remembered."""
        return BETWEEN.join([block.words for block in self.blocks])

    def followed_by(self, text: str) -> "Draft":
        """The draft with plain words behind it, in a block of their own."""
        return replace(self, blocks=(*self.blocks, _plain(text, self.form)))

    def reworded(self, words: str) -> "Draft":
        """The draft as guards left it. What they only put before or behind it costs no markup."""
        if words == self.words:
            return self
        before, found, after = words.partition(self.words)
        apart = before[-1:].strip() == "" == after[:1].strip()
        if self.form == "plain" or not (found and self.words and apart):
            lost = () if self.form == "plain" else ("markup",)
            losses = tuple(sorted({*self.losses, *lost}))
            return Draft((_plain(words, self.form),), self.form, losses)
        around = [
            _plain(text.strip(), self.form) if text.strip() else None for text in (before, after)
        ]
        blocks = (around[0], *self.blocks, around[1])
        return replace(self, blocks=tuple([block for block in blocks if block]))

    def laid_out(self, capabilities: Capabilities) -> Rendered:
        """The messages. What is over the channel's limit is several, split between blocks first."""
        if self.form == "plain" and not capabilities.longest:
            return Rendered((Shown(self.words),), self.form, self.losses)
        losses = set(self.losses)
        parts = tuple(_messages(self, capabilities, losses))
        return Rendered(parts, self.form, tuple(sorted(losses)))


def render(text: str, capabilities: Capabilities) -> Rendered:
    """Markdown as the channel can show it. Needs the extra `render`; raises `ConfigurationError`.

    Plain words have links as ``label (address)``, lists with ``-``, tables as lines, and no marks.
    """
    return drafted(text, capabilities.form).laid_out(capabilities)


def drafted(text: str, form: Form) -> Draft:
    """Read Markdown, for a channel of this form. Raises `ConfigurationError` without the extra."""
    tokens = tokens_of(text)
    if tokens is None:
        return Draft((_plain(text, form),), form, ("markup",))
    losses: set[Loss] = set()
    writer, plain = Writer(MARKS.get(form, PLAIN)), Writer(PLAIN)
    blocks = []
    for block in tree_of(tokens).blocks:
        words = plain.write(block).strip("\n")
        markup = writer.write(block).strip("\n") if form in {"slack", "whatsapp"} else ""
        if words:
            blocks.append(Shown(words, markup))
    if not blocks:  # of line breaks alone, and the like
        return Draft((_plain(text, form),), form, ("markup",))
    if form == "html":
        whole = BETWEEN.join([block.words for block in blocks])
        body = pages.body_of(tokens, losses) or plainly(whole, form)
        blocks = [Shown(whole, body)]
    else:
        losses = writer.losses if form != "plain" else plain.losses
    return Draft(tuple(blocks), form, tuple(sorted(losses)))


def undrafted(text: str) -> Draft:
    """A text that is no Markdown, and leaves as it is."""
    return Draft((Shown(text),))


def _plain(text: str, form: Form) -> Shown:
    return Shown(text, "" if form == "plain" else plainly(text, form))


def _messages(draft: Draft, can: Capabilities, losses: set[str]) -> Iterator[Shown]:
    """As many blocks in each message as fit; a block that does not fit by itself is split."""
    form = draft.form
    held: list[Shown] = []
    used = 0.0
    for block in draft.blocks:
        size = _size(block, can)
        # Sizes add up but for segments, so most blocks are not measured again with all before them.
        if used + size <= can.longest or _fit([*held, block], form, can):
            held.append(block)
            used += size
            continue
        if held:
            yield _message(held, form)
        held, used = [block], size
        if not _fit(held, form, can):
            pieces = _pieces(block, form, can)
            if block.markup not in {"", plainly(block.words, form)}:
                losses.add("markup")
            yield from (_message([piece], form) for piece in pieces[:-1])
            held = pieces[-1:]
            used = _size(held[0], can)
    if held:
        yield _message(held, form)


def _size(block: Shown, can: Capabilities) -> float:
    """What a block takes of the limit at most, with what parts it from the next."""
    if not can.longest or can.unit == "segment":
        return math.inf
    sizes = (length(block.words, can.unit), length(block.markup, can.unit))
    return max(sizes) + len(BETWEEN)


def _fit(blocks: Sequence[Shown], form: Form, can: Capabilities) -> bool:
    if not can.longest:
        return True
    message = _message(blocks, form)
    return fits(message.words, can.longest, can.unit) and (
        form == "html" or fits(message.markup, can.longest, can.unit)
    )


def _message(blocks: Sequence[Shown], form: Form) -> Shown:
    words = BETWEEN.join([block.words for block in blocks])
    if form == "html":
        return Shown(words, pages.page("".join([block.markup for block in blocks])))
    markup = "" if form == "plain" else BETWEEN.join([block.markup for block in blocks])
    return Shown(words, "" if markup == words else markup)


def _pieces(block: Shown, form: Form, can: Capabilities) -> list[Shown]:
    """A block in pieces, each of which is a message. Where words grow by escapes, in more."""
    for share in (1, 2, 4, 6):
        limit = max(can.longest // share, 4 if can.unit != "segment" else 1)
        texts = [text.strip() for text in split(block.words, limit, can.unit)]
        pieces = [_plain(text, form) for text in texts if text]
        if all(_fit([piece], form, can) for piece in pieces):
            break
    # There is no smaller limit than one segment, and escapes may need less of it.
    pieces = [half for piece in pieces for half in _halves(piece, form, can)]
    return pieces or [_plain(block.words.strip(), form)]


def _halves(piece: Shown, form: Form, can: Capabilities) -> list[Shown]:
    """A piece that fits, or its halves, each in pieces that do."""
    if _fit([piece], form, can) or len(piece.words) < 8:
        return [piece]
    texts = [text.strip() for text in split(piece.words, len(piece.words) // 2)]
    halves = [_plain(text, form) for text in texts if text]
    return [part for half in halves for part in _halves(half, form, can)]


__all__ = [
    "Draft",
    "Rendered",
    "Shown",
    "drafted",
    "render",
    "require",
    "undrafted",
]
