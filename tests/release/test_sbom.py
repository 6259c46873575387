"""The parts list of a release: true, complete, and the same wherever it is made."""

import hashlib
import json
import os
import re
import subprocess
import tomllib

import pytest
from release.needs import needs
from release.sbom import completed

from tests.release.building import CORE, ROOT, Environment

PYTHON = ROOT / ".venv-release/bin/python"
BOM = {
    "components": [],
    "metadata": {"component": {"bom-ref": "root-component", "name": "ctxbridge"}},
}


def test_it_says_which_wheel_it_is_of():
    about = completed(BOM, "1.2.3", b"wheel")["metadata"]["component"]
    assert (about["name"], about["version"]) == ("ctxbridge", "1.2.3")
    assert about["purl"] == "pkg:pypi/ctxbridge@1.2.3"
    assert about["hashes"][0]["content"] == hashlib.sha256(b"wheel").hexdigest()


@pytest.fixture(scope="module")
def made(wheel, tmp_path_factory):
    """As `make wheel` makes it."""
    if not PYTHON.exists():
        pytest.skip("no .venv-release here: make wheel")
    folder = tmp_path_factory.mktemp("dist")
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    ran("-m", "release.sbom", folder)
    return next(folder.glob("*.json")).read_text()


def ran(*arguments):
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1"}  # which is to change nothing
    done = subprocess.run(
        [PYTHON, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_it_is_the_same_of_what_the_tests_run_with(made, wheel, tmp_path):
    """Made again, of another environment elsewhere, with what the tests have installed."""
    elsewhere = Environment(tmp_path / "venv", CORE)
    elsewhere.install(wheel)
    program = (
        "import json, pathlib, sys, release.sbom as s; p, *_ = map(pathlib.Path, sys.argv[1:])"
    )
    again = json.loads(
        ran("-c", f"{program}; print(json.dumps(s.described(p)))", tmp_path / "venv")
    )
    version = wheel.name.split("-")[1]
    assert completed(again, version, wheel.read_bytes()) == json.loads(made)


def test_it_names_no_time_no_machine_and_no_number_of_its_own(made):
    told = json.loads(made)
    assert "serialNumber" not in told
    assert "timestamp" not in told["metadata"]
    assert not re.search(r"file:|/(tmp|home|root|work)/", made)


def test_it_lists_what_the_wheel_needs_each_with_its_licence(made):
    told = json.loads(made)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, missing = needs(project["dependencies"])
    listed = {one["name"].replace("_", "-"): one["version"] for one in told["components"]}
    assert not missing
    assert listed == {name: one.version for name, one in found.items()}
    assert all(one["licenses"] for one in told["components"])
