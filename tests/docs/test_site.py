"""The site as `make docs` builds it: it has every page and name, and asks no other host for anything."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import FunctionType
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build/site"
CHROMIUM = os.environ.get("CTXBRIDGE_CHROMIUM") or shutil.which("chromium")
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
LOADED = {("link", "href"), ("use", "href"), ("image", "href"), ("object", "data")}
SOURCES = ("src", "srcset", "poster", "action", "background")


def newest(*folders):
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    return max(path.stat().st_mtime for path in files if path.suffix in (".md", ".py", ".svg"))


@pytest.fixture(scope="module", autouse=True)
def site():
    index = SITE / "index.html"
    if not index.exists() or index.stat().st_mtime < newest("docs", "src"):
        pytest.skip("no site here, or an older one: make docs")


class Loads(HTMLParser):
    """What a page loads by itself; where its links lead is the reader's business."""

    def __init__(self, html):
        super().__init__()
        self.found = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        for name, value in attrs:
            if value and (name in SOURCES or (tag, name) in LOADED):
                self.found.add(value)
            if value and name == "style":
                self.found |= addresses_in_style(value)
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.found.add(given.get("content", ""))


def addresses_in_style(css):
    return {a or b for a, b in re.findall(r"url\(['\"]?([^'\")]+)|@import ['\"]([^'\"]+)", css)}


def foreign(html):
    styles = "".join(re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL))
    found = Loads(html).found | addresses_in_style(styles)
    return sorted(one for one in found if urlsplit(one).netloc or one.startswith("//"))


class TestOtherHosts:
    def test_no_page_loads_anything_from_one(self):
        pages = list(SITE.rglob("*.html"))
        assert len(pages) > 60
        assert {
            page.name: foreign(page.read_text()) for page in pages if foreign(page.read_text())
        } == {}

    def test_no_style_does(self):
        for style in SITE.rglob("*.css"):
            found = addresses_in_style(style.read_text())
            assert [one for one in found if urlsplit(one).netloc] == [], style

    @pytest.mark.parametrize(
        "html",
        [
            '<link rel="stylesheet" href="https://fonts.example/css">',
            '<script src="//cdn.example/a.js"></script>',
            '<img src="https://example.org/a.png">',
            "<style>@import 'https://fonts.example/css';</style>",
            '<p style="background: url(https://example.org/a.png)">',
        ],
    )
    def test_one_that_does_is_seen(self, html):
        """The control."""
        assert len(foreign(html)) == 1

    async def test_nor_does_a_browser_that_reads_and_searches(self, browser, served, tmp_path):
        page, asked = browser
        for name in ("index.html", "concepts.html", "reference/ctxbridge.html"):
            await page.goto(served + name)
        await page.locator(".md-search__button").click()
        await page.locator('input[aria-label="Search"]').fill("fence")
        await page.get_by_text(re.compile("^[0-9]+ results$")).wait_for(timeout=60_000)
        assert any(one.endswith("search.json") for one in asked)
        here = (served, "data:", f"blob:{served}")
        assert [one for one in asked if not one.startswith(here)] == []

        control = tmp_path / "control.html"
        control.write_text('<img src="http://127.0.0.1:9/picture.png">')
        await page.goto(control.as_uri())
        assert "http://127.0.0.1:9/picture.png" in asked


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_told):
        pass


@pytest.fixture
def served():
    """The address of the site, as any server of files serves it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
async def browser(anyio_backend):
    if anyio_backend != "asyncio":
        pytest.skip("playwright runs on asyncio alone")
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set CTXBRIDGE_CHROMIUM")
    from playwright.async_api import async_playwright

    asked = []
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = await found.new_page()
        page.on("request", lambda request: asked.append(request.url))
        yield page, asked
        await found.close()


def modules():
    page = (ROOT / "docs/reference.md").read_text()
    return re.findall(r"^\| `(ctxbridge[\w.]*)` \|", page, re.MULTILINE)


def public_names(name):
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return [one for one in module.__all__ if not inspect.ismodule(getattr(module, one))]
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == name]
    return [one for one in own if not one.startswith("_")]


KINDS = {type: "class", FunctionType: "function"}


def kind_of(value):
    """As the page says it; what is neither class nor function may be told as anything."""
    return next((kind for known, kind in KINDS.items() if isinstance(value, known)), "[a-z]+")


def told(name, one, html):
    kind = kind_of(getattr(importlib.import_module(name), one))
    places = f"{name}.{one}", f"{name}.{one}.{one}"  # the second where a file has the same name
    found = "|".join(map(re.escape, places))
    return re.search(rf'doc-object doc-{kind}">\s*<h2 id="({found})"', html)


def missing(name, html):
    """The public names that no heading of their kind tells of: a file of that name will not do."""
    return [one for one in public_names(name) if not told(name, one, html)]


BUILD = "from pathlib import Path\nimport sys\nsys.path.insert(0, sys.argv[1])\nimport build\n"
BUILD += "sys.exit(build.build(Path(sys.argv[2])))"


@pytest.mark.parametrize(("link", "code"), [("#here", 0), ("#nowhere", 1), ("nowhere.md", 1)])
def test_a_warning_fails_the_build(tmp_path, link, code):
    python = ROOT / ".venv-docs/bin/python"
    if not python.exists():
        pytest.skip("nothing here that builds the site: make docs")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "a"\ndocs_dir = "pages"\n')
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text(f"# Here\n\n[there]({link})\n")
    command = [python, "-c", BUILD, ROOT / "docs/site", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr


class TestReference:
    def test_it_has_the_modules_that_users_import(self):
        promised = {
            "ctxbridge", "ctxbridge.model", "ctxbridge.guards", "ctxbridge.channels", "ctxbridge.asgi",
            "ctxbridge.delivery.senders", "ctxbridge.chatting", "ctxbridge.testing",
            "ctxbridge.errors", "ctxbridge.ports",
        }  # fmt: skip
        assert promised <= set(modules())
        files = (ROOT / "src/ctxbridge/integrations").iterdir()
        frameworks = {path.stem for path in files if not path.name.startswith("_")}
        told = {name.split(".")[2] for name in modules() if ".integrations." in name}
        assert frameworks - told == {"pydantic_store"}  # a port that pydantic_ai tells of

    @pytest.mark.parametrize("name", modules())
    def test_every_public_name_is_told(self, name):
        html = (SITE / f"reference/{name}.html").read_text()
        assert len(public_names(name)) > 0
        assert missing(name, html) == []

    def test_one_that_is_not_is_seen(self):
        """The control."""
        html = (SITE / "reference/ctxbridge.html").read_text()
        assert missing("ctxbridge", html.replace('id="ctxbridge.Turn"', "")) == ["Turn"]
        of_a_file = re.sub(r'doc-class(">\s*<h2 id="ctxbridge.Turn")', r"doc-module\1", html)
        assert missing("ctxbridge", of_a_file) == ["Turn"]

    def test_no_docstring_shows_its_raw_marks(self):
        """Code behind ``::`` and names in backticks are rendered."""
        for page in (SITE / "reference").glob("*.html"):
            text = re.sub(r"(?s)<(pre|code|script|style).*?</\1>|<[^>]+>", "", page.read_text())
            assert not re.search(r"`|(?<!:)::\s*$|\]\[", text, re.MULTILINE), page.name


def torn(html):
    """Rows and points that the site shows as running text: a blank line too many, or too few."""
    html = re.sub(r"(?s)<pre.*?</pre>", "", html)
    lines = [line for text in re.findall(r"(?s)<p>(.*?)</p>", html) for line in text.splitlines()]
    return [line for line in lines if re.match(r"\s*([-*] |\| |#+ |```)", line)]


def test_no_table_or_list_is_torn():
    pages = {page: torn(page.read_text()) for page in SITE.rglob("*.html")}
    assert {page.name: found for page, found in pages.items() if found} == {}


def test_one_that_is_torn_is_seen():
    """The control."""
    assert len(torn("<p>Some of them:\n- one\n- two</p><p>| a | b |</p>")) == 3


def test_the_navigation_has_every_page_of_the_index():
    html = (SITE / "index.html").read_text()
    navigation = html[html.index("<nav") : html.index("</main>")]
    for page in sorted((ROOT / "docs").rglob("*.md")):
        place = re.sub(
            r"README\.html$",
            "index.html",
            str(page.relative_to(ROOT / "docs").with_suffix(".html")),
        )
        place = place.replace("reference.html", "reference/index.html")
        assert re.search(rf'href="(\./)?{re.escape(place)}"', navigation), place
