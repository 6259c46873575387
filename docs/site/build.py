"""Builds the site: `python docs/site/build.py`, into build/site. A warning of the builder fails it.

The pages stay as they are read on a code host. What a site wants besides is made here: the
navigation, of the tables in docs/README.md; the reference, of the docstrings; and a place for each
file outside of docs that a page links to.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import griffe

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PAGES = BUILD / "pages"
HERE = Path(__file__).parent
LINK = re.compile(r"(?<!\\)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)]*)?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| *(.+?) \|", re.MULTILINE)
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yaml": "yaml", ".lua": "lua"}
SHOWN_AS_IS = {".svg", ".png"}


def main() -> int:
    """Put the pages together and build them; the builder's exit code."""
    for folder in (PAGES, BUILD / "site"):
        shutil.rmtree(folder, ignore_errors=True)
    staged: set[str] = set()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        stage(page.relative_to(ROOT).as_posix(), staged)
    modules = write_reference()
    told = json.dumps(navigation(modules), ensure_ascii=False).replace('": ', '" = ')
    config = (HERE / "zensical.toml").read_text()
    (BUILD / "zensical.toml").write_text(config.replace("nav = []", f"nav = {told}", 1))
    return build(BUILD)


def build(folder: Path) -> int:
    """Build what the zensical.toml in the folder describes; 1 if there was anything to warn of."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=folder, check=False).returncode


def stage(file: str, staged: set[str]) -> None:
    """Copy a file of the repository, and all that it links to, to its place among the pages."""
    if file in staged:
        return
    staged.add(file)
    to = PAGES / place(file)
    to.parent.mkdir(parents=True, exist_ok=True)
    source = ROOT / file
    if source.suffix in SHOWN_AS_IS:
        shutil.copyfile(source, to)
    elif source.suffix == ".md":
        text = source.read_text()
        to.write_text(outside_fences(text, lambda part: moved_links(part, file)))
        for target in targets(text, file):
            stage(target, staged)
    else:
        to.write_text(as_page(file, source.read_text()))


def place(file: str) -> str:
    """Where a file of the repository stands among the pages."""
    if file == "docs/reference.md":
        return "reference/index.md"  # the index of a folder that is made here
    if file.startswith("docs/"):
        return re.sub(r"README\.md$", "index.md", file.removeprefix("docs/"))
    shown = file.endswith(".md") or PurePosixPath(file).suffix in SHOWN_AS_IS
    return f"repository/{file}" if shown else f"repository/{file}.md"


def as_page(file: str, text: str) -> str:
    """A page that shows a file; the search does without it."""
    language = LANGUAGES.get(PurePosixPath(file).suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {file}\n\n````{language}\n{text}\n````\n"


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """The text, changed wherever it is no code block."""
    parts, at = [], 0
    for fence in FENCE.finditer(text):
        parts += [change(text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(text[at:])])


def targets(text: str, file: str) -> Iterator[str]:
    """The files of the repository that a page links to. One that is not there is an error."""
    for link in LINK.finditer(FENCE.sub("", text)):
        found = resolved(link[1], file)
        if not (ROOT / found).is_file():
            raise SystemExit(f"{file} links to {link[1]}, which is no file")
        yield found


def resolved(link: str, file: str) -> str:
    """The path from the root of the repository to what a page links to."""
    return os.path.normpath(PurePosixPath(file).parent / link)


def moved_links(text: str, file: str) -> str:
    """The text with its links leading to where the files stand among the pages."""
    home = PurePosixPath(place(file)).parent

    def moved(link: re.Match[str]) -> str:
        return f"]({os.path.relpath(place(resolved(link[1], file)), home)}{link[2] or ''})"

    return LINK.sub(moved, text)


# --- the navigation -----------------------------------------------------------------------------


def navigation(modules: list[str]) -> list[object]:
    """The index as a tree: its headings, and the pages in the first column of their tables."""
    index = (ROOT / "docs/README.md").read_text()
    tree: list[object] = [{"Pages": "index.md"}]
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        entries = [entry(*found, modules) for found in links_of_rows(body)]
        if entries:
            tree.append({title: entries})
    return tree


def links_of_rows(text: str) -> Iterator[tuple[str, str]]:
    """Title and target of each link in the first column of the tables."""
    for row in ROW.findall(text):
        yield from re.findall(r"\[([^]]+)\]\(([^)#]+\.md)\)", row)


def entry(title: str, target: str, modules: list[str]) -> object:
    """One page; the index of a folder has the folder's pages below it."""
    if target == "reference.md":
        return {
            title: ["reference/index.md", *({name: f"reference/{name}.md"} for name in modules)]
        }
    if not target.endswith("/README.md"):
        return {title: place(f"docs/{target}")}
    folder = target.removesuffix("README.md")
    text = (ROOT / "docs" / target).read_text()
    found = dict.fromkeys(re.findall(r"^\|.*?\[([^]]+)\]\(([^)#/]+\.md)\)", text, re.MULTILINE))
    return {title: [f"{folder}index.md", *({name: folder + page} for name, page in found)]}


# --- the reference ------------------------------------------------------------------------------


def write_reference() -> list[str]:
    """A page for each module that docs/reference.md lists; their names."""
    package = griffe.load("ctxbridge", search_paths=[ROOT / "src"])
    index = PAGES / place("docs/reference.md")
    text = index.read_text()
    modules: list[str] = re.findall(r"^\| `(ctxbridge[\w.]*)` \|", text, re.MULTILINE)
    homes: dict[str, str] = {}
    for name in modules:
        module = package[name.partition(".")[2]] if "." in name else package
        public = [one for one in public_names(module) if f"{name}.{one}" not in modules]
        paths = {one: path_of(name, module, one) for one in public}
        (PAGES / f"reference/{name}.md").write_text(page_of(name, paths.values()))
        homes = paths | homes  # a name is told of where it is met first
        text = text.replace(f"| `{name}` |", f"| [`{name}`]({name}.md) |")
    index.write_text(text)
    (BUILD / "names.json").write_text(json.dumps(homes))
    return modules


def path_of(name: str, module: griffe.Object | griffe.Alias, public: str) -> str:
    """Where a name is defined: a file of the same name (`guards/pii.py`) is not what is meant."""
    file = module.modules.get(public)
    shadowed = file is not None and public in file.members
    return f"{name}.{public}.{public}" if shadowed else f"{name}.{public}"


def page_of(module: str, paths: Iterable[str]) -> str:
    """The page of a module: what it says of itself, then its public names."""
    options = (
        "    options: {members: false, show_root_heading: false, show_root_toc_entry: false}\n"
    )
    page = [f"# {module}\n", f"::: {module}\n{options}"]
    return "\n".join([*page, *[f"::: {path}\n" for path in paths]])


def public_names(module: griffe.Object | griffe.Alias) -> list[str]:
    """What `__all__` lists, or else all that is defined in the module itself."""
    if module.exports is not None:
        return sorted(str(name) for name in module.exports)
    members = module.members.items()
    return [name for name, found in members if not name.startswith("_") and not found.is_alias]


if __name__ == "__main__":
    sys.exit(main())
