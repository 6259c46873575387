"""Draws the pictures of docs/concepts.md: `python docs/pictures/make.py`, beside this file.

They are for light and dark alike, hold no font and no number that was not written here, and come
out the same each time; `tests/docs/test_pictures.py` holds that what lies here is what this makes.
"""

from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
WIDE = 560

STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #24292f }
  .small { font-size: 12px; fill: #57606a } .bold { font-weight: 600 } .mid { text-anchor: middle }
  .box { fill: #f6f8fa; stroke: #8c959f } .ours { fill: #e8eaff; stroke: #5a60c8 }
  .line { stroke: #57606a; fill: none }
  .no { fill: #fff1f0; stroke: #c0392b } .refused { stroke: #c0392b; stroke-dasharray: 5 4 }
  .lane { fill: #8c959f; fill-opacity: .12 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b3 }
    .box { fill: #21262d; stroke: #6e7681 } .ours { fill: #24285a; stroke: #8f95f0 }
    .line { stroke: #9da7b3 } .no { fill: #46201d; stroke: #ff8f80 } .refused { stroke: #ff8f80 }
  }
"""
TIP = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
TIP += 'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" class="line" style="fill:#808890"/>'
TIP += "</marker>"


class Picture:
    """What is drawn, from top to bottom; sizes are pixels."""

    def __init__(self, name: str, told: str, tall: int) -> None:
        self.name = name
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {tall}" width="{WIDE}" '
            f'role="img" aria-label="{escape(told)}">\n<style>{STYLE}</style>\n<defs>{TIP}</defs>'
        )
        self._drawn: list[str] = []

    def text(self, x: int, y: int, words: str, kind: str = "") -> None:
        """One line of words; `kind` is any of small, bold, mid."""
        self._drawn.append(f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>')

    def box(self, x: int, y: int, w: int, h: int, *lines: str, kind: str = "box") -> None:
        """A box with its first line bold and the others small, all in the middle."""
        shape = f'<rect class="{kind}" x="{x}" y="{y}" width="{w}" height="{h}" rx="6"/>'
        self._drawn.append(shape)
        top = y + h // 2 + 5 - 9 * (len(lines) - 1)
        for number, line in enumerate(lines):
            self.text(x + w // 2, top + 18 * number, line, "mid small" if number else "mid bold")

    def arrow(self, x1: int, y1: int, x2: int, y2: int, words: str = "", kind: str = "") -> None:
        """A line with a tip, and words beside its middle."""
        self._drawn.append(
            f'<line class="line {kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" '
            'marker-end="url(#tip)"/>'
        )
        if words and y1 == y2:
            self.text((x1 + x2) // 2, y1 - 6, words, "mid small")
        elif words:
            self.text(max(x1, x2) + 10, (y1 + y2) // 2 + 4, words, "small")

    def lane(self, x: int, y: int, w: int, h: int, name: str) -> None:
        """A strip behind what belongs together, with its name on top."""
        self._drawn.append(f'<rect class="lane" x="{x}" y="{y}" width="{w}" height="{h}" rx="6"/>')
        self.text(x + w // 2, y + 20, name, "mid bold")

    def svg(self) -> str:
        """The whole file."""
        return "\n".join([self._head, *self._drawn, "</svg>", ""])


def conversation() -> Picture:
    """Addresses, links, a contact, one log."""
    p = Picture("conversation", "Three addresses, linked to one contact with one conversation", 330)
    rows = [
        (20, "sms:+15550100001", "first seen"),
        (110, "email:ann@example.org", "crm:4711"),
        (200, "chat:customer-7", "your login"),
    ]
    for y, address, evidence in rows:
        p.box(4, y, 212, 54, address, "an address")
        p.arrow(216, y + 27, 366, 131)
        p.text(222, y + 16 if y < 110 else y + 44, f"link: {evidence}", "small")
    p.box(370, 96, 184, 70, "Ann", "a contact", "of the tenant acme", kind="ours")
    p.arrow(462, 166, 462, 216)
    p.box(370, 220, 184, 96, "a conversation", "the log: 1, 2, 3, …", "state, consent", kind="ours")
    return p


def turn() -> Picture:
    """The way of a message."""
    p = Picture("turn", "The way of a message: stored, answered, committed, sent", 560)
    steps = [
        ("box", "the provider's bytes", "verified and read by its adapter"),
        ("ours", "open", "one write: is it known? · stored · lease · context"),
        ("box", "guards, your agent, guards", "as long as it takes; the lease is renewed"),
        ("ours", "commit", "one write: replies, state, decisions, outbox"),
        ("box", "the sender", "asks the gate, claims, sends"),
        ("ours", "receipt", "one write: what became of it"),
    ]
    for number, (kind, *lines) in enumerate(steps):
        y = 10 + number * 92
        p.box(60, y, 380, 64, *lines, kind=kind)
        if number < len(steps) - 1:
            p.arrow(250, y + 64, 250, y + 90)
    for y, first, second in [
        (194, "dies here:", "taken up again"),
        (378, "dies here:", "sent, or unknown"),
    ]:
        p.text(450, y - 14, first, "small")
        p.text(450, y + 4, second, "small")
    p.text(450, 100, "from here on", "small")
    p.text(450, 118, "acknowledged", "small")
    return p


def lease() -> Picture:
    """A worker that is thought dead, and comes back."""
    p = Picture("lease", "A worker that lost its lease can store nothing", 380)
    p.lane(10, 10, 170, 360, "worker A")
    p.lane(195, 10, 170, 360, "the store")
    p.lane(380, 10, 170, 360, "worker B")
    p.arrow(95, 60, 275, 60, "open")
    p.arrow(275, 90, 95, 90, "lease, fence 7")
    p.box(30, 105, 130, 60, "hangs", "its lease runs out", kind="no")
    p.arrow(465, 190, 285, 190, "open")
    p.arrow(285, 220, 465, 220, "lease, fence 8")
    p.box(400, 235, 130, 40, "agent thinks")
    p.arrow(95, 265, 275, 265, "commit, fence 7", "refused")
    p.arrow(275, 295, 95, 295, "Fenced", "refused")
    p.arrow(465, 315, 285, 315, "commit, fence 8")
    p.arrow(285, 345, 465, 345, "stored, once")
    return p


def gate() -> Picture:
    """STOP while the agent thinks."""
    p = Picture("gate", "A STOP that comes while the agent thinks", 372)
    p.lane(10, 10, 170, 352, "the customer")
    p.lane(195, 10, 170, 352, "the store")
    p.lane(380, 10, 170, 352, "the turn")
    p.arrow(95, 60, 275, 60, "Where is it?")
    p.arrow(285, 90, 465, 90, "gate epoch 3")
    p.box(400, 105, 130, 60, "agent thinks", "under epoch 3")
    p.arrow(95, 140, 275, 140, "STOP")
    p.box(210, 152, 140, 48, "consent: no", "gate epoch 4", kind="ours")
    p.arrow(465, 225, 285, 225, "commit, epoch 3", "refused")
    p.arrow(285, 255, 465, 255, "judge again")
    p.arrow(465, 285, 285, 285, "commit: withheld")
    p.box(210, 300, 140, 52, "stored, not sent", kind="no")
    p.arrow(200, 326, 100, 326, "", "refused")
    p.text(95, 318, "nothing leaves", "mid small")
    return p


def seen() -> Picture:
    """One log, seen by two who both say that they are Ann."""
    p = Picture("seen", "What the store shows depends on how sure it is of the writer", 300)
    p.lane(10, 10, 170, 280, "the log")
    p.lane(195, 10, 170, 280, "a signed SMS")
    p.lane(380, 10, 170, 280, "a forged e-mail")
    p.text(280, 48, "CHANNEL", "mid small")
    p.text(465, 48, "CLAIMED", "mid small")
    for number, (who, words) in enumerate(
        [("SMS", "Where is A-17?"), ("chat", "My new address is …"), ("state", "order A-17")]
    ):
        y = 64 + number * 54
        p.box(25, y, 140, 44, who, words)
        p.box(210, y, 140, 44, who, words, kind="ours")
        p.box(395, y, 140, 44, "withheld", kind="no")
    p.box(25, 230, 140, 44, "this message")
    p.box(210, 230, 140, 44, "this message", kind="ours")
    p.box(395, 230, 140, 44, "this message", kind="ours")
    return p


PICTURES = (conversation, turn, lease, gate, seen)


def main() -> None:
    """Draw all of them."""
    for draw in PICTURES:
        picture = draw()
        (HERE / f"{picture.name}.svg").write_text(picture.svg())


if __name__ == "__main__":
    main()
