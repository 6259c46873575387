"""The wheel that is tested, built once for all tests of a process."""

from pathlib import Path

import pytest

from tests.release.building import ROOT, build


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, as `make wheel` makes it."""
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")
