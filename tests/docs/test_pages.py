"""README and pages: links lead somewhere, and what they show is what the program prints."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"),
         ROOT / "SECURITY.md", ROOT / "examples/fastapi_bot/README.md"]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_demo_in_the_readme_is_what_the_demo_prints():
    """`tests/examples/test_demo.py` holds the program to the same lines; times are of the run."""
    shown = (ROOT / "README.md").read_text().split("$ make demo\n")[1].split("```")[0].splitlines()
    printed = iter((ROOT / "tests/examples/golden/demo.txt").read_text().splitlines())
    for line in shown:
        wanted = re.sub(r"^\d\d:\d\d ", "hh:mm ", line)
        assert line == "..." or wanted in printed, f"not printed, or not in this order: {line}"


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


def test_the_figures_in_the_pages_are_those_of_the_latest_run():
    from bench import publish

    for page in publish.PAGES:
        shown = page.read_text().split(publish.BEGIN)[1].split(publish.END)[0]
        assert shown == publish.latest(page)
