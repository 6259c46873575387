"""A name for what has none: the digest of a mail's content, the same for each repetition."""

import hashlib


def digest(*pieces: bytes) -> str:
    """``sha256:`` and 64 hexadecimal digits; of several pieces, each with its length before it."""
    made = hashlib.sha256()
    for piece in pieces:
        if len(pieces) > 1:
            made.update(len(piece).to_bytes(8, "big"))
        made.update(piece)
    return "sha256:" + made.hexdigest()
