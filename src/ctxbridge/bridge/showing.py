"""How a reply is shown on its channel: what guards judge of it, and the messages that it becomes.

Guards judge the whole reply in plain words, with the labels of its choices, before it is split: so
nothing is hidden from them in a mark, behind a link or across the end of a message. Each message
is an entry of the log with a delivery of its own, made in the turn's one commit: each is claimed
once, sent at most once where the provider takes no key, and has the receipts that are its own.
"""

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from msgspec import Struct

from ctxbridge.model import Capabilities, Choices, Markup, Part, Text
from ctxbridge.model.capabilities import Form
from ctxbridge.rules.choices import as_buttons, lines, without_labels
from ctxbridge.rules.rendering import Draft, drafted, undrafted
from ctxbridge.rules.text import clean

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

AT_ONCE_CHARACTERS, AT_ONCE_CELLS = 250, 20
"""What is more is read in a thread: a table of 500 characters can hold 5,000 cells."""

LOST = "lost."
"""What the flags of a message begin with that tell what its channel could not show."""

FORMS: dict[str, Form] = {"email": "html", "slack": "slack", "whatsapp": "whatsapp"}
"""How a channel marks words up whose sender does not say what it can show."""


class Shape(Struct, frozen=True, gc=False):
    """What a channel can show, and whether what an agent says there is Markdown."""

    can: Capabilities = Capabilities()
    markdown: bool = False

    @classmethod
    def on(cls, bridge: "Bridge[Any]", channel: str) -> "Shape":
        """That of a channel: as its sender says it (an attribute `capabilities`), if it does."""
        sender = bridge.outbox.sender_on(channel)
        can = getattr(sender, "capabilities", None)
        if not isinstance(can, Capabilities):
            can = Capabilities(form=FORMS.get(channel, "plain"))
        return cls(can, _is_among(channel, bridge.settings.markdown))


def _is_among(channel: str, named: bool | Collection[str]) -> bool:
    return named if isinstance(named, bool) else channel in named


class Layout(Struct, frozen=True, gc=False):
    """A reply that was read. `offer` are the lines of its choices, empty where there are none."""

    draft: Draft
    can: Capabilities
    choices: Choices | None = None
    offer: str = ""

    @property
    def judged(self) -> str:
        """What guards judge: all the words, those of the choices at their end."""
        return self.draft.followed_by(self.offer).words if self.offer else self.draft.words

    def spoken(self, text: str) -> "Spoken":
        """The messages, when guards have made `text` of what they judged."""
        draft, choices = self._worded(text)
        rendered = draft.laid_out(self.can)
        messages: list[tuple[Part, ...]] = [
            (Text(one.words), Markup(draft.form, one.markup)) if one.markup else (Text(one.words),)
            for one in rendered.parts
        ]
        if choices is not None:
            messages[-1] = (*messages[-1], choices)
        return Spoken(tuple(messages), tuple([f"{LOST}{loss}" for loss in rendered.losses]))

    def _worded(self, text: str) -> tuple[Draft, Choices | None]:
        """The words that leave, and what is offered beside them: on buttons, or in the words."""
        choices = self.choices
        if choices is None:
            return self.draft.reworded(text), None
        head, whole, tail = text.rpartition(self.offer)
        if not whole or tail[:1] not in ("", "\n") or head[-1:] not in ("", "\n"):
            # Where the labels are not what they were, no button may say them any more.
            return self.draft.followed_by(self.offer).reworded(text), without_labels(choices)
        # What guards have only added stays, and what is on buttons is not said as well.
        around = self.draft.reworded(head.removesuffix("\n\n") + tail)
        if self._has_buttons(choices, around):
            return around, choices
        if not tail:
            return around.followed_by(self.offer), choices
        return self.draft.followed_by(self.offer).reworded(text), choices

    def _has_buttons(self, choices: Choices, draft: Draft) -> bool:
        """Whether they are buttons under the last message, which must not be too long for them."""
        if not draft.words.strip() or not as_buttons(choices, self.can):
            return False
        last, most = draft.laid_out(self.can).parts[-1], self.can.above_choices
        return not most or len(last.markup or last.words) <= most


class Spoken(Struct, frozen=True, gc=False):
    """The parts of each message that a reply becomes. `flags` tell what could not be shown."""

    messages: tuple[tuple[Part, ...], ...]
    flags: tuple[str, ...] = ()


async def lay_out(text: str, choices: Choices | None, shape: Shape, *, markdown: bool) -> Layout:
    """Read what an agent says; `markdown` is false for what we say ourselves."""
    text = clean(text)
    offer = lines(choices) if choices is not None else ""
    if not (markdown and shape.markdown):
        draft = undrafted(text)
    elif len(text) <= AT_ONCE_CHARACTERS and text.count("|") <= AT_ONCE_CELLS:
        draft = drafted(text, shape.can.form)
    else:
        draft = await to_thread.run_sync(partial(drafted, text, shape.can.form))
    return Layout(draft, shape.can, choices, offer)
