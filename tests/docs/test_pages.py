"""README and pages: links lead somewhere, and what they show is what the program prints."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import plot, publish

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"),
         ROOT / "SECURITY.md", ROOT / "examples/fastapi_bot/README.md"]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_first_code_in_the_readme_prints_what_stands_under_it():
    code, rest = (ROOT / "README.md").read_text().split("```python\n")[1].split("```", 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == rest.split("```\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 22


def test_every_adapter_guard_and_store_has_its_place_in_the_pages():
    from ctxbridge.channels import ADAPTERS

    channels = (ROOT / "docs/channels/README.md").read_text()
    assert all(f"`{name}`" in channels for name in ADAPTERS)
    guards = (ROOT / "docs/guards.md").read_text()
    assert all(f"`{name}()`" in guards for name in ("opt_out", "automatic", "pii"))


def test_the_rights_in_the_page_are_those_that_the_tests_run_with():
    from tests.stores.redis.conftest import LEAST_RIGHTS

    page = (ROOT / "docs/redis.md").read_text()
    recipe = page.split("<!-- rights -->")[1].split("```")[1]
    assert recipe.split() == ["ACL", "SETUSER", "bot", *LEAST_RIGHTS.split()]


def test_every_option_of_the_redis_store_is_in_the_page():
    from ctxbridge.stores.redis.settings import _OPTIONS

    page = (ROOT / "docs/redis.md").read_text()
    assert {name for name in _OPTIONS if f"| `{name}` |" not in page} == {"clock"}


def test_the_pages_name_no_machine():
    for page in [*PAGES, ROOT / "constraints.txt", ROOT / "Makefile", ROOT / "pyproject.toml"]:
        assert not re.search(r"/(work|root|home/\w+)/", page.read_text()), page


def shown(text, begin, end):
    return text.split(begin)[1].split(end)[0]


def untrue(page, text):
    """Whether a table in `text` is another one than the latest run's."""
    figures = shown(text, publish.BEGIN, publish.END) != publish.latest(page)
    if publish.BEGIN_TURNS not in text:
        return figures
    fates = json.loads((publish.RESULTS / "latest.json").read_text())["correctness"]
    told = shown(text, publish.BEGIN_TURNS, publish.END_TURNS)
    return figures or told != publish.turns(fates)


@pytest.mark.parametrize("page", publish.PAGES, ids=lambda p: p.name)
def test_the_figures_in_the_pages_are_those_of_the_latest_run(page):
    text = page.read_text()
    assert not untrue(page, text)
    assert untrue(page, text.replace("| **no** |", "| yes |", 1))  # the control
    if page == publish.README:
        assert untrue(page, text.replace("| 100 | 0 | 40 |", "| 100 | 0 | 41 |", 1))


def test_the_plot_is_of_the_latest_run():
    latest = json.loads((publish.RESULTS / "latest.json").read_text())
    curves = latest["curves"]["microseconds"]
    drawn = (publish.RESULTS / "latest.svg").read_text()
    assert plot.picture(curves, "Look-up of 20 messages, 1 caller") == drawn
    slower = {name: [2 * value for value in curve] for name, curve in curves.items()}
    assert plot.picture(slower, "Look-up of 20 messages, 1 caller") != drawn  # the control
