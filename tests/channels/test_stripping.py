"""How well new words are told from repeated ones: measured on public mails and on made ones.

The public mails are read in place; what their projects state as the answer stands here as lines of
the file. Where two projects state different answers for one mail (is "-Ann" below a text a
signature?), the one that keeps more counts. The figures are in `docs/channels/email.md`.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from tests.channels.fixtures import NOW, fixture, message_of
from tests.channels.mailclients import HELD_CLIENTS
from tests.channels.mailraw import WAYS, raw
from tests.channels.mailworld import Mail, mails

from ctxbridge.channels import Email
from ctxbridge.channels.mail import quotes
from ctxbridge.model import RawRequest, Text

LOSS = 0.05
"""The share of the writer's characters above which a mail counts as one that lost words."""

FOLDERS = {
    "crisp": "crisp/test/fixtures",
    "willdurand": "willdurand/tests/Fixtures",
    "mail_parser_reply": "mail_parser_reply/test/emails",
    "zapier": "zapier/test/emails",
}
# The mails of each project by the lines of their answer; "email_" before a name is left out. The
# first group of each is what its tests state word for word, the second what they state by parts.
ANSWERS = {
    "crisp": {
        "1-5": "3 7 8 9 10 11 12 13 14 15 16 17 18 22 23 24 25 26 portuguese german german_2 german_3"
        " norwegian_gmail german_outlook finnish italian russian outlook_split_line_from"
        " gmail_split_line_from ios_outlook_fr ios_outlook msn fr_multiline french_2 en_multiline_2"
        " original_message original_message_2 danish_dash_separator french_dash_separator"
        " tricky_5_mixed_languages tricky_10_special_chars_in_name tricky_12_no_space_after_header"
        " tricky_14_long_quote_header tricky_15_original_message_variations with_regards",
        "1-7": "1",
        "1-9": "emoji",
        "1-2": "zoho",
        "1": "sent_from",
    },
    "crisp, by parts": {
        "1": "=correct_sig =sig_no_empty_line",
        "1-99": "5 not_a_signature not_a_signature_2 tricky_1_on_false_positive"
        " tricky_13_timestamp_variations",
    },
    "willdurand": {
        "1-5": "7 8 9 10 11 12 13 14",
        "1,9-34": "2",
        "1": "iphone blackberry multi_word_sent_from_my_mobile_device 2_1 unquoted_reply"
        " custom_quote_header customer_quote_header_2",
        "1-3": "sent_from_my_not_signature customer_quote_header_3",
        "1-9": "bullets",
    },
    "willdurand, by parts": {"1": "=correct_sig =sig_no_empty_line"},
    "mail_parser_reply": {
        "1": "2_3 headers_no_delimiter sent_from_iPhone sent_from_multi_word_mobile_device"
        " sent_from_BlackBerry",
        "1-3": "sent_from_not_signature",
    },
    "zapier, by parts": {"1": "=correct_sig", "1,9-34": "1_2", "1-99": "1_5"},
}


def stripped(text: str) -> str:
    """The new words of `text`, with one space between two."""
    return squeezed(span.text for span in quotes.spans(text) if not span.quoted)


def squeezed(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())


def stated() -> dict[str, list[tuple[str, str]]]:
    """The mails of each group with a stated answer: text and answer."""
    found: dict[str, list[tuple[str, str]]] = {}
    for group, answers in ANSWERS.items():
        folder = fixture("email/reply/" + FOLDERS[group.partition(",")[0]])
        for lines, names in answers.items():
            for name in names.split():
                file = folder / f"{'' if name[0] == '=' else 'email_'}{name.lstrip('=')}.txt"
                text = file.read_text("utf-8")
                found.setdefault(group, []).append((text, answer(text, lines)))
    return found


def answer(text: str, lines: str) -> str:
    """The lines of `text` that "1,9-34" names."""
    all_lines, chosen = text.splitlines(), []
    for part in lines.split(","):
        first, _, last = part.partition("-")
        chosen += all_lines[int(first) - 1 : int(last or first)]
    return squeezed(chosen)


class Measure:
    """What came of some mails: how many, how many exactly, how many lost words."""

    def __init__(self, pairs: Iterable[tuple[str, str]], strip: Callable[[str], str] = stripped):
        self.count = self.exact = self.lossy = 0
        for text, wanted in pairs:
            got = strip(text)
            self.count += 1
            self.exact += got == wanted
            self.lossy += lost(got, wanted) > LOSS

    @property
    def share(self) -> float:
        return self.exact / self.count

    @property
    def loss(self) -> float:
        return self.lossy / self.count

    def __str__(self) -> str:
        return f"{self.exact}/{self.count} exact ({self.share:.1%}), {self.loss:.2%} lost words"


def lost(got: str, wanted: str) -> float:
    """Which share of the characters of `wanted` is not in `got`."""
    missing = Counter(wanted.split()) - Counter(got.split())
    return sum(len(word) * count for word, count in missing.items()) / max(1, len(wanted))


def of(made: Iterable[Mail], strip: Callable[[str], str] = stripped) -> Measure:
    return Measure(((mail.text, squeezed([mail.new])) for mail in made), strip)


def keeping_all(text: str) -> str:
    return squeezed([text])


def cutting_at_the_first_mark(text: str) -> str:
    """What strippers do that take the first look-alike for the end: the broken variant."""
    kept: list[str] = []
    for line in text.split("\n"):
        if line.startswith((">", "On ", "From:", "--", "Sent from")):
            break
        kept.append(line)
    return squeezed(kept)


def test_56_public_mails_with_a_stated_answer() -> None:
    groups = stated()
    for group, pairs in groups.items():
        print(group, Measure(pairs))
    word_for_word = [pair for name, pairs in groups.items() if "," not in name for pair in pairs]
    every = Measure(pair for pairs in groups.values() for pair in pairs)
    assert len(groups["crisp"]) == 49
    assert Measure(groups["crisp"]).share >= 0.95
    assert Measure(word_for_word).share >= 0.95
    assert every.share >= 0.95
    # The one that falls short keeps a greeting, which loses nothing.
    assert every.lossy == 0


def test_56_the_measure_tells_a_bad_stripper() -> None:
    pairs = [pair for found in stated().values() for pair in found]
    assert Measure(pairs, keeping_all).share < 0.2
    assert Measure(pairs, cutting_at_the_first_mark).share < 0.7
    assert Measure(pairs, lambda text: text[:40]).loss > 0.5


@pytest.fixture(scope="module")
def made() -> list[Mail]:
    return mails(seed=20_260_303, count=4_000)


def test_56_made_mails_of_the_clients_that_the_rules_were_made_with(made: list[Mail]) -> None:
    found = of(mail for mail in made if not mail.held)
    print(found)
    assert found.count > 2_000
    assert found.share >= 0.99
    assert found.loss <= 0.005


def test_56_made_mails_of_clients_that_were_kept_back(made: list[Mail]) -> None:
    found = of(mail for mail in made if mail.client in HELD_CLIENTS)
    print(found)
    assert found.count > 1_000
    assert found.share >= 0.98
    assert found.loss <= 0.01


def test_56_the_made_mails_are_hard(made: list[Mail]) -> None:
    assert of(made, keeping_all).share < 0.2
    naive = of(made, cutting_at_the_first_mark)
    assert naive.share < 0.6
    assert naive.loss > 0.2


@pytest.mark.parametrize("kind", ["bottom", "between", "trap", "forward", "plain"])
def test_57_no_posting_loses_the_writers_words(made: list[Mail], kind: str) -> None:
    found = of(mail for mail in made if mail.kind == kind)
    assert found.loss <= 0.01, found


@pytest.mark.parametrize("way", WAYS)
def test_56_and_70_mails_as_they_travel(way: str) -> None:
    adapter = Email("help@shop.example")

    def read(mail: Mail) -> str:
        request = RawRequest(raw(mail, way), received_at=NOW)
        message = message_of(adapter.parse(request, adapter.verify(request)))
        return squeezed(part.text for part in message.parts if type(part) is Text)

    made = mails(seed=7, count=300, plain="html" not in way)
    found = Measure(((mail, squeezed([mail.new])) for mail in made), read)
    print(way, found)
    assert found.share >= 0.97
    assert found.loss <= 0.01


def test_a_seed_makes_the_same_mails() -> None:
    assert mails(seed=1, count=20) == mails(seed=1, count=20) != mails(seed=2, count=20)


@pytest.mark.parametrize(
    "text",
    [
        "Yes.\n\nSent from my iPhone\n\nPS: and a blue one.",
        "Yes.\n\nSent from my iPhone\n\nOn Tue, 3 Mar 2026 at 10:15, Shop <a@b.example> wrote:\n> x",
    ],
)
def test_only_a_reply_has_an_older_mail_below_a_devices_line(text: str) -> None:
    first = squeezed(s.text for s in quotes.spans(text, reply=False) if not s.quoted)
    assert ("PS:" in first) == ("PS:" in text)
    assert stripped(text) == "Yes."


def test_a_forward_of_a_thread_keeps_its_words_and_tells_its_quotes_apart() -> None:
    text = (
        "From: Shop <a@b.example>\nTo: Ann\nSubject: x\n\nNew.\n\nOn 3 May 2026, Ann wrote:\n> Old."
    )
    assert stripped(text) == "From: Shop <a@b.example> To: Ann Subject: x New."
    apple = (
        "Sent from my iPhone\n\nBegin forwarded message:\n\n> From: Shop <a@b.example>\n>\n> Old."
    )
    assert stripped(apple) == squeezed([apple])


UNITS = [
    "On ", "On \n", "-", "--\n", "--\n\n\n", "__\na@b\n", ">", ">\n", "> a\nb\n", "From:\n", "From: a@b\nxx\n",
    "From: A <a@b>\n\n", "A: b\n", "\n", " ", "wrote:\n", "On 2026 at 10:10\n", "1\n", "1" * 399 + "\n",
    "On 2026-10-10 10:10 a@b " + "wrote " * 60 + "\n", "1 @a: " * 60 + "\n", "----\nFrom: a\n", "Sent from my iPhone\n\n",
    "From: " + "<a@b " * 70 + "\n", "x\n\nSent from my iPhone\n\n", "confidential " * 30 + "\n\n", "<\n", "a <\n", "[<([" * 99 + "\n\n",
    "--\n\n\n", "1" * 399 + "\n", "____________\n", "-----Original Message\n", "Sent from my iPhone\n", "a@ @a:\n", "<\n>\n", "送信\n",
    "> " + "a" * 70 + "\nbcd efg\n", "outlook <http" * 30 + "\n\n", "-----Original Message-----\n> a\nb\n", "a\r", "\u3000\n",
]  # fmt: skip


def seconds(strip: Callable[[str], object], text: str) -> float:
    """Of this process's own time, and the better of two, for others may use the machine."""
    took = []
    for _ in range(2):
        start = time.process_time()
        strip(text)
        took.append(time.process_time() - start)
    return min(took)


def grows(strip: Callable[[str], object], unit: str, sizes: Iterable[int]) -> list[float]:
    return [seconds(strip, unit * (size // len(unit))) for size in sizes]


@pytest.mark.parametrize("unit", UNITS, ids=range(len(UNITS)))
def test_58_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    small, middle, large = grows(quotes.spans, unit, (1 << 16, 1 << 18, 1 << 20))
    assert middle < 4 * small * 2 + 0.05
    assert large < 4 * middle * 2 + 0.05
    # 0.21 s is the slowest that was measured; a busy machine is slower, 0.56 s was seen.
    assert large < 1.0


def test_58_growth_that_is_faster_is_seen() -> None:
    def square(text: str) -> int:
        return sum(text.startswith("\n", at) for at in range(len(text) ** 2 // 200_000))

    small, large = grows(square, "a", (1 << 16, 1 << 18))
    assert large > 4 * small * 2
