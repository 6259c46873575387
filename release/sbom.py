"""The parts list of a release: what ``pip install`` of the wheel brings, in CycloneDX's form.

python -m release.sbom dist

It installs the one wheel of the folder into an environment of its own, beside what it needs in the
versions of constraints.txt, lets ``cyclonedx-py`` read that, and writes NAME-VERSION.cdx.json
beside the wheel. No time, serial number or path of the machine is in it, so the same versions on
the same minor version of Python make the same list anywhere.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def described(environment: Path | str) -> dict[str, Any]:
    """What ``cyclonedx-py`` finds installed in a virtual environment."""
    env = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}  # or it tells a time
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible",
         "--mc-type", "library", "--pyproject", str(ROOT / "pyproject.toml"), str(environment)],
        env=env, capture_output=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def completed(bom: dict[str, Any], version: str, wheel: bytes) -> dict[str, Any]:
    """With the version of the wheel, which pyproject.toml does not know, and its digest."""
    metadata = bom["metadata"]
    about = metadata["component"] | {
        "version": version,
        "purl": f"pkg:pypi/ctxbridge@{version}",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel).hexdigest()}],
    }
    return bom | {"metadata": metadata | {"component": about}}


def installed(wheel: Path, version: str, environment: Path) -> None:
    """The wheel and what it needs, in a new environment without pip.

    The wheel is found by its name in its folder: installed by its path, the path would be noted.
    """
    venv.create(environment, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python",
           str(environment), "install"]  # fmt: skip
    name = f"ctxbridge=={version}"
    ours = ["--no-index", "--no-deps", "--find-links", str(wheel.parent), name]
    subprocess.run([*pip, *ours], check=True)  # noqa: S603
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), name], check=True)  # noqa: S603


def main(folder: Path) -> Path:
    """Write the list; where it is."""
    (wheel,) = folder.glob("ctxbridge-*.whl")
    version = wheel.name.split("-")[1]
    with tempfile.TemporaryDirectory() as temporary:
        environment = Path(temporary) / "environment"
        installed(wheel, version, environment)
        bom = completed(described(environment), version, wheel.read_bytes())
    written = folder / f"ctxbridge-{version}.cdx.json"
    written.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return written


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
