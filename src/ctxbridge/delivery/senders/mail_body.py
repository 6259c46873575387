"""The body of a mail: plain text, or the same in plain text and in HTML (RFC 2046, 5.1.4)."""

import re
from email import policy
from email.message import EmailMessage

from ctxbridge.rules.text import clean

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=76)


def without_controls(text: str) -> str:
    """`text` without what no mail shows; blanks and ends of lines stay."""
    return _CONTROLS.sub("", text)


def body_of(text: str, html: str, key: str) -> tuple[dict[str, str], bytes]:
    """The headers that tell of the body, and the body, in lines that end in CRLF.

    The plain text comes first: a reader shows the last part that it can. `key` tells where a part
    ends; no text can know it.
    """
    if not html:
        encoding, body = _encoded(text, "plain")
        return _headers("plain", encoding), body
    boundary = f"=_{key}"
    data = b""
    for subtype, content in (("plain", text), ("html", html)):
        encoding, body = _encoded(content, subtype)
        head = "".join([f"{n}: {v}\r\n" for n, v in _headers(subtype, encoding).items()])
        data += f"--{boundary}\r\n{head}\r\n".encode() + body + b"\r\n"
    headers = {"Content-Type": f'multipart/alternative;\r\n boundary="{boundary}"'}
    return headers, data + f"--{boundary}--\r\n".encode()


def _headers(subtype: str, encoding: str) -> dict[str, str]:
    kind = f'text/{subtype}; charset="utf-8"'
    return {"Content-Type": kind, "Content-Transfer-Encoding": encoding}


def _encoded(text: str, subtype: str) -> tuple[str, bytes]:
    """The transfer encoding and the text in it, in lines of at most 76."""
    text = clean(without_controls(text.replace("\r\n", "\n").replace("\r", "\n")))
    part = EmailMessage(_POLICY)
    part.set_content(text, subtype=subtype, charset="utf-8")
    payload = str(part.get_payload()).replace("\r\n", "\n").rstrip("\n") + "\n"
    return part["Content-Transfer-Encoding"], payload.replace("\n", "\r\n").encode("ascii")
