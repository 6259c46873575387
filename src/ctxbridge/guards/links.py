"""Links in what goes out: none to a host that is not ours.

A host is read as the strictest of those who will read it: what a browser, a mail program or a phone
might take for a link counts, and what they might read differently (a name before an ``@``, a
backslash, a percent sign in the host) is foreign whatever it says.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Literal

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, modify
from ctxbridge.model import Finding, Verdict

STRIPPED = "[link removed]"
LONGEST_HOST = 253
READ = 512
"""How much of what may be a host is read: one that is longer is none."""
_ONLY_AFTER_HOSTS = frozenset("/:?")
_WORD = re.compile(r"[^\s<>\"\u201c\u201d]+")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\x00-\x1f]+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]{0,30}):([/\\]*)")
_RUNNING = frozenset({"javascript", "vbscript", "data", "file", "blob"})
_WEB = frozenset({"http", "https", "ftp", "ftps", "ws", "wss"})
_END_OF_AUTHORITY = re.compile(r"[/?#]")
_AROUND = "()[]{}'*_~`.,;:!?|\u2026\u00bb\u00ab\u201e\u2018\u2019"
_HOST = re.compile(r"[\w\-]+(?:\.[\w\-]+)*\.?(?::[0-9]{0,5})?")
_BARE = re.compile(r"(?<![\w@./%+\-])[\w\-]++(?:\.[\w\-]++)++(?![\w@])")
# What ends a host that stands without a scheme: domains of countries, and the usual others.
_ENDINGS = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw
by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et
eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie
il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv
ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr
nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk
sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy
uz va vc ve vg vi vn vu wf ws ye yt za zm zw com net org info biz edu gov mil int name pro mobi
app dev page blog site online shop store tech xyz top club vip live life world today news media
cloud space website link click email support help host icu buzz fun one zip mov example test
invalid onion
"""
_TLDS = frozenset(_ENDINGS.split())
_WORDS_THAT_ARE_TLDS = frozenset(
    {
        "am", "as", "at", "be", "by", "de", "do", "es", "et", "id", "il", "im", "in", "is", "it",
        "la", "me", "my", "ne", "no", "on", "or", "pa", "re", "se", "si", "so", "su", "to", "us",
    }
)  # fmt: skip


def link_allowlist(
    hosts: Collection[str],
    *,
    action: Literal["block", "strip"] = "block",
    instead: str = STRIPPED,
    say: str | None = None,
) -> FunctionGuard:
    """Blocks a reply that links to a host which is none of `hosts` nor under one of them.

    With `action="strip"` the links are replaced by `instead`. Hosts without a scheme count as well,
    addresses of e-mail and ``mailto:`` do not.
    """
    if isinstance(hosts, str) or not all(hosts):
        raise ConfigurationError("hosts is a set of hosts, as {'acme.example'}")
    ours = _Hosts(hosts)

    @guard("reply", name="link_allowlist", modifies=action == "strip")
    def check(check: TextCheck) -> Verdict:
        found = list(foreign(check.text, ours))
        if not found:
            return allow()
        findings = tuple(Finding("link", start, end) for start, end in found)
        if action == "block":
            return block("links.foreign", say=say, findings=findings)
        return modify(_without(check.text, found, instead), "links.stripped", findings=findings)

    return check


class _Hosts:
    """The hosts that may be linked to, in the form that the domain name system knows."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._names = frozenset(canonical(host) for host in hosts)
        self.endings = _TLDS | {name.rpartition(".")[2] for name in self._names}

    def hold(self, host: str) -> bool:
        """Whether `host` is one of them, or under one."""
        if len(host) > LONGEST_HOST:
            return False
        labels = canonical(host).split(".")
        return any(
            ".".join(labels[n:]) in self._names
            for n in range(max(len(labels) - 16, 0), len(labels))
        )


def canonical(host: str) -> str:
    """A host as it is looked up: lower case, each label in ASCII, without the dot at its end."""
    lower = unicodedata.normalize("NFKC", host).lower().removesuffix(".")
    return lower if lower.isascii() else ".".join(map(_label, lower.split(".")))


def _label(label: str) -> str:
    if label.isascii():
        return label
    return "xn--" + label.encode("punycode").decode("ascii")


def foreign(text: str, ours: _Hosts) -> Iterator[tuple[int, int]]:
    """Where in `text` words stand that lead, or may lead, to a host that is not ours."""
    for match in _WORD.finditer(text):
        word = match.group()
        if "." not in word and ":" not in word and word.isascii():
            continue
        if _is_foreign(word, ours):
            start, end = match.span()
            left = len(word) - len(word.lstrip(_AROUND))
            right = len(word) - len(word.rstrip(_AROUND))
            yield (start + left, end - right) if left < len(word) - right else (start, end)


def _is_foreign(word: str, ours: _Hosts) -> bool:
    seen = unicodedata.normalize("NFKC", _UNSEEN.sub("", word)).replace("\u3002", ".").lower()
    for scheme in _SCHEME.finditer(seen):
        name, slashes = scheme.groups()
        if name in _RUNNING:
            return True
        if (name in _WEB or len(slashes) > 1) and _leads_away(
            seen[scheme.end() : scheme.end() + READ], ours
        ):
            return True
    bare = seen.lstrip(_AROUND)
    if bare.startswith(("//", "\\\\")):
        return _leads_away(bare[2 : 2 + READ], ours)
    if "." not in seen:
        return False
    as_written = word if len(word) == len(seen) else seen
    return any(
        _names_host(m.group(), as_written[m.start() : m.end()], seen[m.end() : m.end() + 1], ours)
        for m in _BARE.finditer(seen)
    )


def _leads_away(rest: str, ours: _Hosts) -> bool:
    """Whether the authority that `rest` begins with is anything but a host of ours."""
    authority = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0]
    if len(authority) >= READ:
        return True
    authority = authority.rstrip(_AROUND)
    if not authority:
        return False
    host = _HOST.fullmatch(authority)
    return host is None or not ours.hold(authority.partition(":")[0])


def _names_host(host: str, as_written: str, after: str, ours: _Hosts) -> bool:
    """Whether a host that stands there without a scheme is one, and not ours."""
    ending = host.rpartition(".")[2]
    if ending not in ours.endings and not ending.startswith("xn--") and ending.isascii():
        return False
    # "Thanks.It works": a missing space, unless something follows that only a link has.
    if ending in _WORDS_THAT_ARE_TLDS and as_written.endswith("." + ending.capitalize()):
        return after in _ONLY_AFTER_HOSTS and not ours.hold(host)
    return not ours.hold(host)


def _without(text: str, found: Collection[tuple[int, int]], instead: str) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in found:
        pieces += (text[position:start], instead)
        position = end
    return "".join((*pieces, text[position:]))
