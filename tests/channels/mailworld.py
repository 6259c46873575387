"""A seeded world of mails: clients, languages, postings, wrappings. What is new is known of each.

A mail is put together from lines of which each is known to be the writer's own or not; the client
tables are in `mailclients`. What is not the writer's own: attributions, quoted headers, what they
introduce, a signature behind its delimiter, a device's footer, a list's or lawyer's footer behind
a rule. A bare forward is the writer's own, all of it.
"""

import random
import textwrap
from typing import NamedTuple

from tests.channels.mailclients import (
    ATTRIBUTIONS,
    FOOTERS,
    FORWARDED,
    HEADERS,
    HELD_CLIENTS,
    HELD_LANGUAGES,
    LABELS,
    MOMENTS,
    NAMES,
    ORIGINAL,
)
from tests.channels.mailwords import (
    GREETINGS,
    LEGAL,
    LISTS,
    OLD,
    PEOPLE,
    SAID,
    SIGNATURE,
    TRAPS,
)


class Mail(NamedTuple):
    """A mail's text, the words in it that are new, and what it was made of."""

    text: str
    new: str
    kind: str
    client: str
    language: str

    @property
    def held(self) -> bool:
        """Whether its client or language was kept back while the rules were made."""
        return self.client in HELD_CLIENTS or self.language in HELD_LANGUAGES


class _Dice(random.Random):
    """Chance. `plain`: for a text of lines, which clients wrap and transports break; not for HTML."""

    def __init__(self, seed: int, *, plain: bool) -> None:
        super().__init__(seed)
        self.plain = plain


class _Sheet:
    """Lines so far, and whether each is the writer's own."""

    def __init__(self, dice: _Dice) -> None:
        self.dice = dice
        self.lines: list[tuple[str, bool]] = []

    def own(self, *lines: str) -> None:
        self.lines += [(line, True) for line in lines]

    def old(self, *lines: str) -> None:
        self.lines += [(line, False) for line in lines]

    def blank(self, count: int = 1) -> None:
        self.lines += [("", False)] * count

    def travelled(self) -> str:
        """The mail's text, with the white space that editors and transports leave in it."""
        way = self.dice.randrange(10)
        lines = [line for line, _ in self.lines]
        if way == 0:
            lines = [line + " " for line in lines]  # format=flowed, not joined
        elif way == 1:
            lines = [line if own else "  " + line for line, own in self.lines]
        elif way == 2:
            lines = [line.replace(" ", "\xa0") if not own else line for line, own in self.lines]
        elif way == 3:
            lines = [line.replace(" AM", "\u202fAM").replace(" PM", "\u202fPM") for line in lines]
        return ("\r\n" if way == 4 else "\n").join(lines)


def mails(seed: int, count: int, kinds: str = "", *, plain: bool = True) -> list[Mail]:
    """`count` mails, the same for a seed. `kinds` narrows what is made; empty for all.

    `plain`: attributions are wrapped and lines broken, which HTML never sees.
    """
    dice = _Dice(seed, plain=plain)
    wanted = kinds.split() or list(KINDS)
    return [KINDS[kind](dice, kind) for kind in dice.choices(wanted, k=count)]


def _fields(dice: _Dice, language: str) -> dict[str, str]:
    """What fills a template: a moment in the words of the language, and a person."""
    which = dice.randrange(3)
    year, month, day, hour, minute, second = MOMENTS[which]
    words = [group.split()[which].replace("_", " ") for group in NAMES[language].split("|")]
    name, address = dice.choice(PEOPLE)
    return {
        "wd": words[0], "Wd": words[1], "mon": words[2].rstrip("."), "Mon": words[3],
        "d": str(day), "dd": f"{day:02}", "m": str(month), "mm": f"{month:02}", "y": str(year),
        "yy": str(year)[2:], "H": f"{hour:02}", "h": str((hour - 1) % 12 + 1), "M": f"{minute:02}",
        "S": f"{second:02}", "AP": "PM" if hour > 11 else "AM", "n": name, "a": address,
        "me": "ann@example.org", "s": "Re: Your parcel",
    }  # fmt: skip


def _attribution(dice: _Dice) -> tuple[str, str, list[str]]:
    client = dice.choice(list(ATTRIBUTIONS))
    language = dice.choice(list(ATTRIBUTIONS[client]))
    line = ATTRIBUTIONS[client][language].format_map(_fields(dice, language))
    return client, language, _wrapped(dice, line)


def _wrapped(dice: _Dice, line: str) -> list[str]:
    """As one line, at 60 to 78 columns, or where Gmail and Apple break: around the address."""
    if not dice.plain:
        return [line.replace("\n", " ")]
    way = dice.randrange(6)
    if way < 2 or "\n" in line:
        return line.split("\n")
    if way < 4:
        return textwrap.wrap(
            line, dice.randint(60, 78), break_long_words=False, break_on_hyphens=False
        )
    if way == 4:
        return line.replace(" <", " <\n", 1).split("\n")
    return line.replace(" <", "\n<", 1).replace("> ", ">\n", 1).split("\n")


def _lines(dice: _Dice, paragraph: str, width: int) -> list[str]:
    return textwrap.wrap(paragraph, width) if dice.plain else [paragraph]


def _header(dice: _Dice) -> tuple[str, str, list[str]]:
    client = dice.choice(list(HEADERS))
    marked = "{original}" in HEADERS[client]
    language = dice.choice(list(ORIGINAL if marked else LABELS))
    labels = LABELS.get(language, LABELS["en"]).split("|")
    fields = _fields(dice, language) | dict(
        zip(("from", "sent", "to", "subject"), labels, strict=True)
    )
    fields["original"] = ORIGINAL.get(language, "")
    return client, language, HEADERS[client].format_map(fields).split("\n")


def _said(dice: _Dice, language: str, most: int = 4) -> list[str]:
    """Some sentences of the language, in paragraphs or not."""
    stock = SAID.get(language, SAID["en"]).split("|")
    lines = dice.sample(stock, dice.randint(1, min(most, len(stock))))
    return lines if dice.random() < 0.5 else "\n\n".join(lines).split("\n")


def _quote(dice: _Dice, depth: int = 0) -> list[str]:
    """An older mail with a prefix before each line: three ways to write it, maybe nested."""
    lines = OLD.split("|")
    if dice.random() < 0.5:
        lines = [part for line in lines for part in _lines(dice, line, 68)]
    if depth < 2 and dice.random() < 0.4:
        _, _, intro = _attribution(dice)
        lines = [*lines, "", *intro, *_quote(dice, depth + 1)]
    prefix = dice.choice(["> ", "> ", ">"])
    lines = [(prefix + line).rstrip() for line in lines]
    if not depth and dice.plain and dice.random() < 0.1:  # a transport broke them once more
        lines = [part for line in lines for part in textwrap.wrap(line, 74)[:2]]
    return lines


def _bare(dice: _Dice) -> list[str]:
    """An older mail without prefixes, maybe with a still older one below."""
    lines = "\n\n".join(OLD.split("|")).split("\n")
    if dice.random() < 0.4:
        _, _, intro = _header(dice)
        lines += ["", *intro, "", *OLD.split("|")]
    return lines


def _ending(dice: _Dice, sheet: _Sheet, language: str) -> None:
    """What stands below the writer's words: a greeting, a signature, a footer, or nothing."""
    way = dice.randrange(9)
    if way == 8 and language in LEGAL:
        sheet.blank()
        sheet.old(*dice.choice([[], ["_" * 40], ["-" * 30]]), *_lines(dice, LEGAL[language], 76))
    elif way in (0, 7):
        sheet.blank()
        sheet.own(GREETINGS.get(language, "Thanks,"), "Ann", *SIGNATURE[1 : 1 + way // 3])
    elif way in (1, 2):
        sheet.blank(way - 1)
        sheet.old(dice.choice(["-- ", "-- ", "--"]), *SIGNATURE[: dice.randint(1, 3)])
    elif way in (3, 4):
        sheet.blank(dice.randint(1, 2))
        sheet.old(dice.choice(FOOTERS.get(language, FOOTERS["en"]).split("|")))


def _top(dice: _Dice, kind: str) -> Mail:
    """Own words, then an older mail with prefixes."""
    client, language, intro = _attribution(dice)
    sheet = _Sheet(dice)
    sheet.own(*_said(dice, language))
    _ending(dice, sheet, language)
    sheet.blank(dice.randint(1, 2))
    sheet.old(*intro)
    sheet.blank(dice.randrange(2))
    sheet.old(*_quote(dice))
    return _mail(sheet, kind, client, language)


def _top_bare(dice: _Dice, kind: str) -> Mail:
    """Own words, then an older mail as it was, as HTML looks when its quoting is lost."""
    client, language, intro = _attribution(dice)
    sheet = _Sheet(dice)
    sheet.own(*_said(dice, language))
    _ending(dice, sheet, language)
    sheet.blank(dice.randint(1, 2))
    sheet.old(*intro)
    sheet.blank()
    sheet.old(*_bare(dice))
    return _mail(sheet, kind, client, language)


def _apple_quoted(dice: _Dice, kind: str) -> Mail:
    """Own words, then an attribution that has a prefix itself, as on an iPhone."""
    client, language, intro = _attribution(dice)
    sheet = _Sheet(dice)
    sheet.own(*_said(dice, language))
    _ending(dice, sheet, language)
    sheet.blank()
    sheet.old(*["> " + line for line in intro], ">", *_quote(dice))
    return _mail(sheet, kind, client, language)


def _outlook(dice: _Dice, kind: str) -> Mail:
    """Own words, then a header, then an older mail as it was."""
    client, language, header = _header(dice)
    sheet = _Sheet(dice)
    sheet.own(*_said(dice, language))
    _ending(dice, sheet, language)
    sheet.blank(dice.randint(1, 2))
    sheet.old(*header)
    sheet.blank()
    sheet.old(*_bare(dice))
    return _mail(sheet, kind, client, language)


def _bottom(dice: _Dice, kind: str) -> Mail:
    """An older mail with prefixes, then own words."""
    client, language, intro = _attribution(dice)
    sheet = _Sheet(dice)
    sheet.old(*intro, *_quote(dice))
    sheet.blank()
    sheet.own(*_said(dice, language))
    _ending(dice, sheet, language)
    return _mail(sheet, kind, client, language)


def _between(dice: _Dice, kind: str) -> Mail:
    """Answers between the lines of an older mail; sometimes a word before, and a list's footer."""
    client, language, intro = _attribution(dice)
    sheet = _Sheet(dice)
    if dice.random() < 0.5:
        sheet.own(_said(dice, language, 1)[0])
        sheet.blank()
    sheet.old(*intro)
    for line in dice.sample(OLD.split("|"), dice.randint(2, 4)):
        sheet.old(*["> " + part for part in _lines(dice, line, 66)])
        tight = dice.random() < 0.3
        sheet.blank(not tight)
        sheet.own(_said(dice, language, 1)[0])
        sheet.blank(not tight)
    if dice.random() < 0.2:
        sheet.blank()
        sheet.old(*LISTS)
    else:
        _ending(dice, sheet, language)
    return _mail(sheet, kind, client, language)


def _forward(dice: _Dice, kind: str) -> Mail:
    """A forward: with a note it is an older mail; without, all of it was sent on purpose."""
    client, _, header = _header(dice)
    language = dice.choice(list(FORWARDED))
    marks = (
        [FORWARDED[language]] if "original" not in HEADERS[client] and dice.random() < 0.5 else []
    )
    sheet = _Sheet(dice)
    if dice.random() < 0.5:
        sheet.own(*_said(dice, language, 2))
        sheet.blank()
        sheet.old(*marks, *header, "", *_bare(dice))
    else:
        sheet.own(*marks, *header, "", *_bare(dice))
    return _mail(sheet, kind, client, language)


def _plain(dice: _Dice, kind: str) -> Mail:
    """Nothing repeated: only some sentences."""
    sheet = _Sheet(dice)
    language = dice.choice(list(SAID))
    sheet.own(*_said(dice, language))
    _ending(dice, sheet, language)
    return _mail(sheet, kind, "none", language)


def _trap(dice: _Dice, kind: str) -> Mail:
    """Own words that look like a mark, below others, above a quote or not."""
    sheet = _Sheet(dice)
    client, language = "none", "en"
    sheet.own(*_said(dice, language, 2))
    sheet.blank(dice.randrange(2))
    sheet.own(*dice.choice(TRAPS).split("|"))
    if dice.random() < 0.4:
        client, language, intro = _attribution(dice)
        sheet.blank()
        sheet.old(*intro, *_quote(dice))
    return _mail(sheet, kind, client, language)


def _mail(sheet: _Sheet, kind: str, client: str, language: str) -> Mail:
    text = sheet.travelled()
    new = "\n".join(line for line, own in sheet.lines if own)
    return Mail(text, new, kind, client, language)


KINDS = {
    "top": _top,
    "top-bare": _top_bare,
    "apple-quoted": _apple_quoted,
    "outlook": _outlook,
    "bottom": _bottom,
    "between": _between,
    "forward": _forward,
    "plain": _plain,
    "trap": _trap,
}
