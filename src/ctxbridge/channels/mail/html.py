"""HTML to text, in one pass, without what a reader would not see.

Own scanner: the standard library's `HTMLParser` takes quadratic time for unclosed comments and tags
in this Python, and a mail may hold thousands of them. Every step here goes forward.
"""

import re
from html import unescape as _unescape

from msgspec import Struct

MAX_QUOTE_DEPTH = 10
MAX_OPEN = 2000
MAX_TAGS = 50_000

_START = re.compile(r"<[a-zA-Z/!?]")  # any other "<" is text
_NAME = re.compile(r"[a-zA-Z][^\s/>]*")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+([^\s/>=]++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>]*+))?+""",
)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_SIZE = re.compile(r"([0-9]*\.?[0-9]+)(px|pt|pc|cm|mm|in|rem|vw|vh|em|ex|ch|%)?")
_NUMBER = re.compile(r"&#0*+([0-9]{1,8}+)[0-9]*+")
_COMMENT = re.compile(r"/\*[^*]*\*/")

_VOID = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "frame",
        "basefont",
    }
)
_BLOCK = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
        "html",
        "caption",
    }
)
# Elements whose inside is no text of the mail, and those whose inside is not even HTML.
_UNREAD = frozenset(
    {"head", "template", "noframes", "object", "select", "datalist", "svg", "math", "iframe"}
)
_RAW = frozenset({"script", "style", "title", "textarea", "xmp", "noembed"})
# What an opening tag ends if it is innermost, since its own end may be left out.
_ENDS = {
    "li": ("li", "p"),
    "dt": ("dt", "dd", "p"),
    "dd": ("dt", "dd", "p"),
    "tr": ("td", "th", "tr", "p"),
    "td": ("td", "th", "p"),
    "th": ("td", "th", "p"),
    "option": ("option",),
    "body": ("head",),
}


class Rendered(Struct):
    """The text of a page. `hidden` says that there were words no reader would have seen.

    `tags` counts its tags and attributes; `cut` says that there were more than are read.
    """

    text: str
    hidden: bool
    tags: int = 0
    cut: bool = False


class _Look(Struct, frozen=True):
    """How the inside of an element looks. Size and visibility can be taken back further in."""

    gone: bool = False
    unread: bool = False
    tiny: bool = False
    invisible: bool = False

    @property
    def shown(self) -> bool:
        return not (self.gone or self.tiny or self.invisible)


def render(html: str, tags: int = MAX_TAGS) -> Rendered:
    """The visible text of `html`. Quotes get ``> `` in front, as in a mail of plain text.

    It ends behind the first `tags` tags and attributes: they cost far more than words.
    """
    page = _Page()
    at, end = 0, len(html)
    while at < end and page.tags < tags:
        found = _START.search(html, at)
        start = found.start() if found else end
        if start > at:
            page.text(html[at:start])
        at = _markup(html, start, page) if start < end else end
    return Rendered(page.finish(), page.hidden, page.tags, at < end)


def unescape(text: str) -> str:
    """Character references resolved. Python refuses numbers of thousands of digits, so cut them."""
    return _unescape(_NUMBER.sub(r"&#\1", text) if "&#" in text else text)


def _markup(html: str, start: int, page: "_Page") -> int:
    """Read what begins with the ``<`` at `start`; where it goes on."""
    page.tags += 1
    if html.startswith("<!--", start):
        return _after(html, "-->", start + 2)
    if html.startswith(("<!", "<?"), start):
        return _after(html, ">", start + 2)
    closing = html.startswith("</", start)
    name = _NAME.match(html, start + 1 + closing)
    if name is None:  # "</" before no letter is a comment (HTML Standard, 13.2.5.7)
        return _after(html, ">", start + 2)
    tag = name[0].lower()
    if closing:
        page.close(tag)
        return _after(html, ">", name.end())
    attributes: dict[str, str] = {}
    at = name.end()
    while (found := _ATTRIBUTE.match(html, at)) is not None:
        if found[1].lower() in ("style", "hidden", "type"):
            attributes.setdefault(found[1].lower(), unescape((found[2] or "").strip("\"'")))
        at = found.end()
        page.tags += 1
    at = _after(html, ">", at)
    page.open(tag, attributes)
    if tag in _RAW:
        end = re.compile(f"</{tag}", re.IGNORECASE).search(html, at)
        return end.start() if end else len(html)
    return at


def _after(html: str, mark: str, at: int) -> int:
    """Behind the next `mark`, or the end: what is not closed swallows the rest."""
    found = html.find(mark, at)
    return len(html) if found < 0 else found + len(mark)


class _Page:
    """The text so far, and the elements that are open."""

    def __init__(self) -> None:
        self.hidden = False
        self.tags = 0
        self._lines: list[str] = []
        self._line: list[str] = []
        self._open: list[tuple[str, _Look]] = []
        self._counts: dict[str, int] = {}
        self._blank = True

    def text(self, raw: str) -> None:
        """Words between tags."""
        look = self._look
        if look.unread or not raw:
            return
        words = unescape(raw)
        if not look.shown:
            self.hidden |= bool(words.strip())
            return
        if self._counts.get("pre"):
            first, *rest = words.replace("\r\n", "\n").split("\n")
            self._add(first)
            for line in rest:
                self._break()
                self._add(line)
            return
        words = _SPACES.sub(" ", words)
        self._add(words.lstrip(" ") if self._blank else words)

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        """A start tag."""
        self._end_implied(tag)
        if tag == "br":
            self._break()
        elif tag in _BLOCK:
            self._end_line()
            if tag in ("p", "table", "ul", "ol", "blockquote") and self._look.shown:
                self._space()
        elif tag in ("td", "th") and not self._blank:
            self._add(" ")
        if tag not in _VOID and len(self._open) < MAX_OPEN:
            self._open.append((tag, _look(self._look, tag, attributes)))
            self._counts[tag] = self._counts.get(tag, 0) + 1

    def close(self, tag: str) -> None:
        """An end tag: closes all that is open inside its element, or nothing without one."""
        if tag in _BLOCK:
            self._end_line()
        while self._counts.get(tag):
            if self._pop() == tag:
                break
        if tag in ("p", "blockquote") and self._look.shown:
            self._space()

    def finish(self) -> str:
        """All the lines, with at most one empty line between two."""
        self._end_line()
        kept: list[str] = []
        for line in self._lines:
            if line.strip(" >") or (kept and kept[-1].strip(" >")):
                kept.append(line)
        while kept and not kept[-1].strip(" >"):
            kept.pop()
        return "\n".join(kept)

    @property
    def _look(self) -> _Look:
        return self._open[-1][1] if self._open else _PLAIN

    def _pop(self) -> str:
        tag, _ = self._open.pop()
        self._counts[tag] -= 1
        return tag

    def _end_implied(self, tag: str) -> None:
        ends = _ENDS.get(tag) or (("p",) if tag in _BLOCK else ())
        while self._open and self._open[-1][0] in ends:
            if self._pop() in _BLOCK:
                self._end_line()

    def _add(self, words: str) -> None:
        if words:
            self._line.append(words)
            self._blank = self._blank and not words.strip(" ")

    def _end_line(self) -> None:
        if self._line:
            self._break()

    def _space(self) -> None:
        if self._lines and self._lines[-1].strip(" >"):
            self._lines.append(self._prefix.rstrip())

    def _break(self) -> None:
        if self._look.unread or not self._look.shown:
            return
        line = "".join(self._line).rstrip(" ")
        self._lines.append((self._prefix + line).rstrip(" "))
        self._line.clear()
        self._blank = True

    @property
    def _prefix(self) -> str:
        depth = min(self._counts.get("blockquote", 0), MAX_QUOTE_DEPTH)
        return ">" * depth + " " if depth else ""


_PLAIN = _Look()


def _look(outer: _Look, tag: str, attributes: dict[str, str]) -> _Look:
    """How the inside of an element looks, from its own attributes and from what it stands in."""
    if tag in _UNREAD or tag in _RAW or outer.unread:
        return _Look(unread=True)
    if "style" not in attributes and "hidden" not in attributes:
        return outer
    gone = outer.gone or "hidden" in attributes
    tiny, invisible = outer.tiny, outer.invisible
    for name, value in _styles(attributes.get("style", "")):
        if name == "display":
            gone |= value == "none"
        elif name == "opacity":
            gone |= _is_zero(value)
        elif name == "visibility":
            invisible = value in ("hidden", "collapse")
        elif name == "font-size":
            tiny = _tiny(value, within=tiny)
        elif name == "mso-hide":
            gone |= value == "all"
    return _Look(gone, outer.unread, tiny, invisible)


def _styles(style: str) -> list[tuple[str, str]]:
    pairs = [item.partition(":") for item in _COMMENT.sub("", style[:4096]).lower().split(";")]
    return [(name.strip(), value.replace("!important", "").strip()) for name, _, value in pairs]


def _is_zero(value: str) -> bool:
    size = _SIZE.match(value)
    return size is not None and float(size[1]) == 0


def _tiny(value: str, *, within: bool) -> bool:
    """Whether a font size is none. A share of nothing is nothing; a size of its own is a new start.

    Mail builders set 0 on tables, to close gaps, and a real size inside.
    """
    size = _SIZE.match(value)
    if size is None:
        return within and value in ("", "inherit", "smaller", "larger", "unset")
    if size[2] in ("em", "ex", "ch", "%"):
        return within or float(size[1]) == 0
    return float(size[1]) < 1
