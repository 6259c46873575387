"""The pictures of the concepts are what their script draws, and read in light and in dark."""

import importlib.util
import re
from pathlib import Path

import pytest

PICTURES = Path(__file__).parents[2] / "docs/pictures"


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("pictures", PICTURES / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {picture.name: picture.svg() for picture in (draw() for draw in module.PICTURES)}


def test_what_lies_there_is_what_the_script_draws(made):
    lying = {path.stem: path.read_text() for path in PICTURES.glob("*.svg")}
    del lying["operating-curve"]  # bench/trial.py draws it from what it has measured
    assert lying == made, "python docs/pictures/make.py"


def test_each_is_shown_and_told_of(made):
    page = (PICTURES.parent / "concepts.md").read_text()
    shown = dict(re.findall(r"!\[(.+)\]\(pictures/(\w+)\.svg\)", page))
    assert sorted(shown.values()) == sorted(made)
    for told, name in shown.items():
        assert f'aria-label="{told}"' in made[name]


def colours(style):
    """The class and property of each colour that a style sets."""
    rules = re.findall(r"([.\w]+) \{([^}]*)\}", style)
    found = {(name, part.split(":")[0].strip()) for name, body in rules for part in body.split(";")}
    return {one for one in found if one[1] in ("fill", "stroke")}


def forgotten(svg):
    """The colours that are set for light, and not for dark: none of them may be."""
    light, dark = re.search(r"<style>(.*)</style>", svg, re.DOTALL)[1].split("@media")
    return colours(light) - colours(dark) - {(".lane", "fill"), (".line", "fill")}


def test_no_colour_is_forgotten_in_the_dark(made):
    assert [name for name, svg in made.items() if forgotten(svg)] == []


def test_one_that_is_forgotten_is_seen(made):
    """The control."""
    svg = next(iter(made.values()))
    dark = svg.index("@media")
    assert forgotten(svg[:dark] + svg[dark:].replace(".box {", ".bix {"))
