"""Building what is released, and environments to install it in."""

import os
import subprocess
import sys
import venv
from pathlib import Path

from release.needs import needs

ROOT = Path(__file__).parents[2]
EPOCH = "1580601600"  # the Makefile's; `test_the_time_is_that_of_make_wheel` holds it
CORE = ["anyio", "msgspec", "opentelemetry-api", "pydantic", "redis"]
_KNOWN = {"PATH", "HOME", "LANG"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name in _KNOWN}


def build(tree: Path, folder: Path, kind: str, epoch: str = EPOCH) -> Path:
    """A ``wheel`` or ``sdist`` of the tree, made as `make wheel` does."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)],
        cwd=tree, env=os.environ | {"SOURCE_DATE_EPOCH": epoch},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}\nhatchling is in the group dev: make .venv/dev"
    (made,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


class Environment:
    """A virtual environment of its own, and what its programs print.

    It is given the packages of `requirements`, and what they need, from where the tests have them: each
    file by a link. So nothing is downloaded, and nothing else can be imported, least of all our source.
    """

    def __init__(self, folder: Path, requirements: list[str]) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        self.folder = folder
        (self.packages,) = folder.glob("lib/python*/site-packages")
        found, missing = needs(requirements)
        assert not missing, missing
        for name, distribution in found.items():
            if name != "ctxbridge":
                self._link(distribution)

    def _link(self, distribution) -> None:
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                there = self.packages / file
                there.parent.mkdir(parents=True, exist_ok=True)
                if not there.exists():
                    there.symlink_to(distribution.locate_file(file))

    def install(self, wheel: Path) -> None:
        """As anybody installs a wheel, without asking an index."""
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--python", str(self.python), "install", "--no-index", "--no-deps", str(wheel)],
            env=ENVIRONMENT, check=True,
        )  # fmt: skip

    def run(self, *command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment, or Python's own options, with nothing of ours around."""
        name = self.folder / "bin" / command[0]
        program = [str(name), *command[1:]] if name.exists() else [str(self.python), "-I", *command]
        return subprocess.run(
            program, cwd=cwd, env=ENVIRONMENT | environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
