"""Bytes to text, whatever the mail says its charset is."""

import re
from codecs import getincrementaldecoder
from encodings.aliases import aliases

# Only codecs of text that run in one pass. What else Python knows under such a name - utf-7, idna,
# punycode, unicode_escape, rot13, zip, base64 - is a way to smuggle or to burn time.
_CODECS = frozenset(
    {"utf_8", "utf_8_sig", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"}
    | {f"iso8859_{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)}
    | {f"cp{n}" for n in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)}
    | {f"cp{n}" for n in (437, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865)}
    | {f"cp{n}" for n in (866, 869, 874, 932, 949, 950)}
    | {"koi8_r", "koi8_u", "koi8_t", "kz1048", "ptcp154", "tis_620", "hp_roman8"}
    | {"mac_roman", "mac_cyrillic", "mac_greek", "mac_latin2", "mac_turkish", "mac_iceland"}
    | {"big5", "big5hkscs", "gb2312", "gbk", "gb18030"}
    | {"shift_jis", "shift_jis_2004", "shift_jisx0213", "euc_jp", "euc_jis_2004", "euc_jisx0213"}
    | {"iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_3", "iso2022_jp_ext"}
    | {"euc_kr", "johab", "iso2022_kr"}
)
# What mailers write for a larger set than they name (WHATWG Encoding Standard, section 4.2).
_WIDER = {
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "utf8mb4": "utf_8",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "ks_c_5601_1987": "cp949",
}
_NO_WORD = re.compile(r"[^a-z0-9]+")
_MANY = 50


def codec(name: str) -> str | None:
    """The Python codec for a charset's name; `None` for ASCII, unknown and unwelcome ones."""
    key = _NO_WORD.sub("_", name[:64].lower()).strip("_")
    found = _WIDER.get(key) or aliases.get(key, key)
    found = _WIDER.get(found, found)
    return found if found in _CODECS else None


def decode(data: bytes, charset: str = "", *, cut: bool = False) -> str:
    """`data` as text. Never raises: a charset that is unknown or a lie is guessed.

    With `cut` a character that is not complete at the end is left out: the charset is no lie then.
    The order: as said; as UTF-8; as said with marks for a few bad bytes; as windows-1252.
    """
    said = codec(charset)
    for name in (said, "utf_8"):
        if name is None:
            continue
        try:
            return getincrementaldecoder(name)().decode(data, not cut)
        except UnicodeError:
            continue
    # One damaged character must not turn a whole Japanese mail into Western letters.
    marked = data.decode(said or "utf_8", "replace")
    if marked.count("\ufffd") * _MANY <= len(marked):
        return marked
    return data.decode("cp1252", "replace")
