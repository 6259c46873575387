"""What there is to say of one language."""

from typing import NamedTuple


class Language(NamedTuple):
    """`opens`: first words of "On ... wrote:"; `verbs`: its verb, wherever it stands.

    `sender`, `sent`, `to`, `subject`: the labels of a quoted header. `marks`: what stands between
    dashes over a quoted mail. `footers`: how a device's own line begins, whatever follows;
    `sends`: how one begins that names a device or a mail program; `ends`: how such a one ends
    instead. `legal`: words that lawyers write under mails. `quoting`: "Quoting" before an
    address, which needs no verb.
    """

    opens: str = ""
    verbs: str = ""
    sender: str = ""
    sent: str = ""
    to: str = ""
    subject: str = ""
    marks: str = ""
    footers: str = ""
    ends: str = ""
    sends: str = ""
    legal: str = ""
    quoting: str = ""
