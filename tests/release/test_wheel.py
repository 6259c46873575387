"""What is released: the same bytes wherever they are made, and all that belongs into them."""

import os
import re
import shutil
import tarfile
import zipfile

import pytest

from tests.release.building import EPOCH, ROOT, build

SCENE = "ctxbridge/cli/scene/scene.json"


def tree(folder):
    """What hatchling reads of ours, copied: another place, other times, other rights, and litter."""
    left_out = shutil.ignore_patterns(
        "__pycache__", ".venv*", ".git", "dist", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)  # another umask; a program stays one
            os.utime(path, (1, 1_000_000_000))
    litter = folder / "src/ctxbridge/__pycache__/left.cpython-311.pyc"
    litter.parent.mkdir()
    litter.write_bytes(b"litter")
    return folder


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    return tree(tmp_path_factory.mktemp("elsewhere") / "tree")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


class TestReproducible:
    def test_the_wheel_has_the_same_bytes_wherever_it_is_built(self, wheel, elsewhere, tmp_path):
        again = build(elsewhere, tmp_path, "wheel")
        assert again.name == wheel.name
        assert again.read_bytes() == wheel.read_bytes()

    def test_so_has_the_sdist(self, sdist, elsewhere, tmp_path):
        assert build(elsewhere, tmp_path, "sdist").read_bytes() == sdist.read_bytes()

    def test_another_time_gives_other_bytes(self, wheel, elsewhere, tmp_path):
        """The control: the time would be in it, were it not fixed."""
        assert build(elsewhere, tmp_path, "wheel", "1600000000").read_bytes() != wheel.read_bytes()

    def test_another_byte_of_source_gives_other_bytes(self, wheel, elsewhere, tmp_path):
        """The control: it is the source that is packed."""
        changed = elsewhere / "src/ctxbridge/py.typed"
        before = changed.read_bytes()
        changed.write_bytes(b"\n")
        try:
            assert build(elsewhere, tmp_path, "wheel").read_bytes() != wheel.read_bytes()
        finally:
            changed.write_bytes(before)

    def test_the_wheel_of_the_unpacked_sdist_is_the_same(self, sdist, wheel, tmp_path):
        """So the sdist lacks nothing that the wheel is made of."""
        with tarfile.open(sdist) as packed:
            packed.extractall(tmp_path, filter="data")
        unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
        assert build(unpacked, tmp_path / "dist", "wheel").read_bytes() == wheel.read_bytes()

    def test_the_time_is_that_of_make_wheel(self):
        assert re.findall(r"^EPOCH := (\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE) == [
            EPOCH
        ]


class TestContents:
    def test_it_carries_every_file_of_the_source_and_nothing_else(self, wheel):
        source = {
            str(path.relative_to(ROOT / "src"))
            for path in (ROOT / "src/ctxbridge").rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        kinds = {name.rpartition(".")[2] for name in source}
        assert {"py", "lua", "js", "typed", "json", "eml", "form"} <= kinds
        assert {"ctxbridge/py.typed", "ctxbridge/channels/webchat/client.js", SCENE} <= source
        with zipfile.ZipFile(wheel) as packed:
            names = {name for name in packed.namelist() if ".dist-info/" not in name}
        assert names == source

    def test_its_metadata_say_licence_python_and_what_it_is_not(self, wheel):
        with zipfile.ZipFile(wheel) as packed:
            (name,) = [n for n in packed.namelist() if n.endswith(".dist-info/METADATA")]
            told = packed.read(name).decode()
            licence = packed.read(name.replace("METADATA", "licenses/LICENSE"))
        assert "\nLicense-Expression: Apache-2.0\n" in told
        assert "\nRequires-Python: >=3.11\n" in told
        assert licence == (ROOT / "LICENSE").read_bytes()

    def test_the_sdist_carries_what_the_tests_and_a_release_need(self, sdist):
        with tarfile.open(sdist) as packed:
            names = {name.partition("/")[2] for name in packed.getnames()}
        assert {
            "Makefile", "constraints.txt", "conftest.py", "SECURITY.md", "LICENSE", ".ci/run",
            "release/sbom.py", "tests/release/test_wheel.py", "bench/results/latest.json",
            "docs/pictures/demo.png", "examples/fastapi_bot/page/page.js",
        } <= names  # fmt: skip
        assert not [name for name in names if ".pyc" in name or name.startswith((".venv", ".git/"))]
