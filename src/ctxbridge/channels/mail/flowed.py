"""Plain text whose lines make paragraphs again (RFC 3676, ``format=flowed``)."""

MAX_LINES = 50_000

SIGNATURE = "-- "


def unflowed(text: str, *, deletes_blank: bool) -> str:
    """`text` with one line for each paragraph, and ``> `` before what is quoted, once per depth.

    A line that ends in a blank goes on in the next, if that is quoted as deep and not empty; the
    mark above a signature neither goes on nor continues anything. `deletes_blank` is ``delsp=yes``:
    the blank was put there to break a line between letters. What has over 50,000 lines is no
    letter, and stays as it is.
    """
    if text.count("\n") >= MAX_LINES:
        return text
    lines: list[str] = []
    pieces: list[str] = []
    depth = 0
    for line in text.split("\n"):
        stuffed = line.lstrip(">")
        words, deep = stuffed.removeprefix(" "), len(line) - len(stuffed)
        if pieces and (deep != depth or words in ("", SIGNATURE)):
            lines.append(_paragraph(pieces, depth))
            pieces = []
        depth = deep
        flows = words.endswith(" ") and words != SIGNATURE
        pieces.append(words[:-1] if flows and deletes_blank else words)
        if not flows:
            lines.append(_paragraph(pieces, depth))
            pieces = []
    if pieces:
        lines.append(_paragraph(pieces, depth))
    return "\n".join(lines)


def _paragraph(pieces: list[str], depth: int) -> str:
    words = "".join(pieces)
    if depth:
        return f"{'>' * depth} {words}" if words else ">" * depth
    # A blank before it tells it from a quote still, as it did in the mail.
    return f" {words}" if words.startswith(">") else words
