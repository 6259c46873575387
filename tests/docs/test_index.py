"""Every page can be found from the index, and the tables of others keep to their own rules."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
LINK = re.compile(r"\]\(([^)#]+\.md)\)")


def listed():
    """What the index, and the indexes of its folders, list: each from docs on."""
    found = set(LINK.findall((DOCS / "README.md").read_text()))
    for index in [target for target in found if target.endswith("/README.md")]:
        folder = Path(index).parent
        found |= {str(folder / target) for target in LINK.findall((DOCS / index).read_text())}
    return found


def lost(pages):
    return sorted(pages - listed())


def pages():
    return {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"README.md"}


def test_every_page_is_in_the_index():
    assert lost(pages()) == []


def test_one_that_is_not_is_seen():
    """The control."""
    assert lost(pages() | {"how-to/nowhere.md"}) == ["how-to/nowhere.md"]


def unproven(page, part="Conversation, identity, state"):
    """The rows of the comparison whose claim for us leads to no test and no page."""
    table = page.split(f"## {part}")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    claims = {row[0].strip("| "): row[1] for row in rows[1:]}
    assert len(claims) >= 7
    return [name for name, claim in claims.items() if claim[0] != "N" and "](" not in claim]


def test_what_the_comparison_says_of_us_leads_to_its_proof():
    assert unproven((DOCS / "comparison.md").read_text()) == []


def test_so_does_what_it_says_of_control():
    page = (DOCS / "comparison.md").read_text()
    assert unproven(page, "Control and hand-over") == []


def test_a_claim_without_a_proof_is_seen():
    """The control."""
    page = (DOCS / "comparison.md").read_text()
    broken = re.sub(r"(pinned to a release \| Y) \[[^|]*", r"\1 ", page)
    assert unproven(broken, "Control and hand-over") == ["a conversation is pinned to a release"]
    assert unproven(re.sub(r"Y \[tutorial\]\(tutorial.md\)", "Y", page)) == [
        "SMS, e-mail and chat in one context"
    ]
