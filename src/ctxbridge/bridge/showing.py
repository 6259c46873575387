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
        draft, choices = self.draft, self.choices
        if choices is not None and text.endswith(f"\n\n{self.offer}"):
            draft = draft.reworded(text.removesuffix(f"\n\n{self.offer}"))
            if not as_buttons(choices, self.can):
                draft = draft.followed_by(self.offer)
        elif choices is not None:
            draft = draft.followed_by(self.offer).reworded(text)
            # Where the labels are not what they were, no button may say them any more.
            choices = choices if self.offer in text else without_labels(choices)
        else:
            draft = draft.reworded(text)
        rendered = draft.laid_out(self.can)
        messages: list[tuple[Part, ...]] = [
            (Text(one.words), Markup(draft.form, one.markup)) if one.markup else (Text(one.words),)
            for one in rendered.parts
        ]
        if choices is not None:
            messages[-1] = (*messages[-1], choices)
        return Spoken(tuple(messages), tuple([f"{LOST}{loss}" for loss in rendered.losses]))


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
