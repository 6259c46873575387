"""Mails of `mailworld` as they travel: quoted-printable, base64, with an HTML twin, as HTML alone."""

from email.message import EmailMessage
from html import escape

from tests.channels.mailworld import Mail

WAYS = ("quoted-printable", "base64", "alternative", "html", "outlook-html")


def raw(mail: Mail, way: str) -> bytes:
    """The mail as bytes. The HTML is built from the text, as the clients do it."""
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "help@shop.example"
    message["Subject"] = "Re: Your parcel"
    message["Message-ID"] = "<1@example.org>"
    if "html" in way:
        html = _divs(mail.text) if way == "html" else _paragraphs(mail.text)
        message.set_content(html, subtype="html", cte="quoted-printable")
    else:
        transfer = "base64" if way == "base64" else "quoted-printable"
        message.set_content(mail.text.replace("\r\n", "\n"), cte=transfer)
    if way == "alternative":
        message.add_alternative(_divs(mail.text), subtype="html")
    return message.as_bytes()


def _divs(text: str) -> str:
    """A line is a div, a prefix a blockquote."""
    return f"<html><body>{_nested(text, '<div>{}</div>', '<div><br></div>')}</body></html>"


def _paragraphs(text: str) -> str:
    """A line is a paragraph, and an empty one holds a no-break space."""
    inside = _nested(text, '<p class="MsoNormal">{}</p>', '<p class="MsoNormal">&nbsp;</p>')
    style = "<style>p.MsoNormal {margin:0cm}</style>"
    return f"<html><head>{style}</head><body><div class=WordSection1>{inside}</div></body></html>"


def _nested(text: str, line_form: str, blank: str) -> str:
    out: list[str] = []
    depth = 0
    for line in text.replace("\r\n", "\n").split("\n"):
        words, wanted = _unquoted(line)
        out += ['<blockquote type="cite">'] * (wanted - depth) + ["</blockquote>"] * (
            depth - wanted
        )
        depth = wanted
        out.append(line_form.format(escape(words)) if words.strip() else blank)
    return "".join(out + ["</blockquote>"] * depth)


def _unquoted(line: str) -> tuple[str, int]:
    rest, depth = line.lstrip(" \xa0"), 0
    if not rest.startswith(">"):
        return line, 0
    while rest.startswith(">"):
        rest, depth = rest[1:].lstrip(" \xa0"), depth + 1
    return rest, depth
