"""Answers that are offered: buttons where a channel has them, else lines with a mark to answer by.

What comes back is words, on any channel: "2", "2.", "option 2" or what the line says. It is taken
for a choice only where nothing else can be meant; the words stay beside it in any case.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from ctxbridge.errors import UsageError
from ctxbridge.model import Capabilities, Choice, Choices, Message, Part, Text
from ctxbridge.model.message import choice_in
from ctxbridge.rules.text import clean

MOST_CHOICES = 20
LONGEST_LABEL = 200
LONGEST_ID = 256
LONGEST_ID_OF_A_BUTTON = 200
"""The least that a provider with buttons takes (WhatsApp); a longer one is offered as a number."""
_LONGEST_ANSWER = 400

_LETTERS = "ABCDEFGHIJKLMNOPQRST"
_EDGES = " \t\r\n.,;:!?()[]{}\"'“”„‘’«»*_~`#-–—"
# "option 2", "nr. 2", "number 2"; the words of some languages in which customers write.
_LEAD = re.compile(
    r"(?:option|choice|number|answer|nr|no|nummer|opción|opcion|número|numero|choix|numéro|opção|opcao"
    r"|opzione|auswahl|antwort|keuze|val)\b[\s.:#]*"
)


def checked_choices(choices: Iterable[Choice | str]) -> Choices | None:
    """What is to be offered; a text alone is both id and label. `None` for nothing.

    Raises `UsageError` for more than 20, for a label that is empty, over 200 characters or several
    lines, for an id over 256, and for two that are the same.
    """
    offered: list[Choice] = []
    for one in choices:
        given: object = one
        choice = Choice(one, one) if isinstance(one, str) else one
        if not isinstance(given, str | Choice) or not _is_offerable(choice):
            raise UsageError("a choice has an id and a label, of one line that is not empty")
        offered.append(Choice(clean(choice.id), clean(choice.label.strip())))
    if len(offered) > MOST_CHOICES:
        raise UsageError(f"at most {MOST_CHOICES} choices can be offered at once")
    for same in ([one.id for one in offered], [_plain(one.label) for one in offered]):
        if len(set(same)) < len(same):
            raise UsageError("two choices have the same id or the same label")
    return Choices(tuple(offered)) if offered else None


def _is_offerable(choice: Choice) -> bool:
    id: object = choice.id
    label: object = choice.label
    if not (isinstance(id, str) and isinstance(label, str) and 0 < len(id) <= LONGEST_ID):
        return False
    lines = label.strip().splitlines()
    return len(label) <= LONGEST_LABEL and len(lines) == 1 and bool(_plain(label))


def as_buttons(choices: Choices, can: Capabilities) -> bool:
    """Whether the channel can offer all of them, whole, as buttons or in a list."""
    if any(len(one.id) > LONGEST_ID_OF_A_BUTTON for one in choices.offered):
        return False
    count, longest = (
        len(choices.offered),
        max([len(one.label) for one in choices.offered], default=0),
    )
    return _are_within(count, longest, can.buttons, can.button_characters) or _are_within(
        count, longest, can.choices, can.choice_characters
    )


def _are_within(count: int, longest: int, most: int, characters: int) -> bool:
    return count <= most and (not characters or longest <= characters)


def said_in(text: str, choices: Choices) -> bool:
    """Whether the words offer them already.

    Of an offer over several messages the last line stands in the last message, which is the one
    that has the choices.
    """
    return lines(choices).rpartition("\n")[2] in text.splitlines()


def pointed_to_in(text: str, choices: Choices) -> bool:
    """Whether the labels are marks alone (`without_labels`), and lines of the words have them."""
    last = choices.offered[-1].label if choices.offered else ""
    return _are_marks(choices) and any(row.startswith(f"{last}. ") for row in text.splitlines())


def marks(choices: Choices) -> tuple[str, ...]:
    """What each line begins with: numbers, or letters where a label is a number itself.

    No mark is the label of another: letters are doubled where one is a label.
    """
    labels, count = {_plain(one.label) for one in choices.offered}, len(choices.offered)
    if not any(label.isdecimal() for label in labels):
        return tuple([str(place) for place in range(1, count + 1)])
    length = 1
    while any(_plain(letter * length) in labels for letter in _LETTERS[:count]):
        length += 1
    return tuple([letter * length for letter in _LETTERS[:count]])


def lines(choices: Choices) -> str:
    """The offer in words, one line for each."""
    pairs = zip(marks(choices), choices.offered, strict=True)
    return "\n".join([f"{mark}. {one.label}" for mark, one in pairs])


def _are_marks(choices: Choices) -> bool:
    """Whether the labels are no words but marks, counted from the first."""
    labels = [one.label for one in choices.offered]
    numbers = [str(place) for place in range(1, len(labels) + 1)]
    letters = [letter * len(labels[-1]) for letter in _LETTERS[: len(labels)]] if labels else []
    return labels in (numbers, letters)


def without_labels(choices: Choices) -> Choices:
    """The same offer with marks for labels, where guards have changed what the lines say."""
    pairs = zip(marks(choices), choices.offered, strict=True)
    return Choices(tuple([Choice(one.id, mark) for mark, one in pairs]))


def chosen(text: str, choices: Choices, *, by_mark: bool = True) -> Choice | None:
    """The choice that an answer names, by its label or (`by_mark`) by its mark; `None` if none.

    The whole answer has to name it, or its first line: what comes behind is a signature or a
    remark.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST_ANSWER:
        text = text[:_LONGEST_ANSWER].partition("\n")[0]
    for said in (text, text.partition("\n")[0]):
        found = _named(_plain(said), choices, by_mark=by_mark)
        if found is not None:
            return found
    return None


def _named(said: str, choices: Choices, *, by_mark: bool) -> Choice | None:
    if not said:
        return None
    named = [one for one in choices.offered if _plain(one.label) == said]
    if not named and by_mark:
        bare = _LEAD.sub("", said, count=1).strip(_EDGES) if _LEAD.match(said) else said
        pairs = zip(marks(choices), choices.offered, strict=True)
        # "2. Blue" is what the line says, mark and all.
        named = [
            one for mark, one in pairs
            if bare == mark.lower() or said == _plain(f"{mark}. {one.label}")
        ]  # fmt: skip
    return named[0] if len(named) == 1 else None


def _plain(text: str) -> str:
    """An answer as it is compared: case, width, digits and what stands around it do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold().strip(_EDGES)
    words = " ".join(folded.split())
    if words.isascii():
        return words
    return "".join([str(int(c)) if c.isdecimal() else c for c in words])


def open_offer(messages: Sequence[Message]) -> tuple[Choices, bool] | None:
    """The latest offer that waits for an answer, and whether a mark alone may answer it.

    An offer is answered by the first choice that comes after it. A number answers what we said
    last and nothing before it: after "how many nights?" it is no choice any more.
    """
    last_turn: bytes | None = None
    for message in reversed(messages):
        theirs, parts = message.author == "contact", message.parts
        # Every turn comes by here, and most messages are a text alone.
        if (len(parts) < 2 and (theirs or last_turn)) or not message.visible:
            continue
        if theirs and choice_in(parts) is not None:
            return None
        if not theirs:
            last_turn = last_turn or message.turn
            offer = next((part for part in parts if type(part) is Choices), None)
            if offer is not None:
                return offer, message.turn == last_turn
    return None


def with_choice(parts: tuple[Part, ...], messages: Sequence[Message]) -> tuple[Part, ...]:
    """The parts of a message, and beside them the choice that its words make; `messages` before it.

    A button that was pressed has brought its choice along.
    """
    offer = open_offer(messages)
    if offer is None or choice_in(parts) is not None:
        return parts
    said = "\n".join([part.text for part in parts if type(part) is Text])
    choice = chosen(said, offer[0], by_mark=offer[1])
    return (*parts, choice) if choice is not None else parts
