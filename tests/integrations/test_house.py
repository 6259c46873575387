"""The room itself: late, apart from each other, and clear about versions."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ctxbridge
from ctxbridge.errors import ConfigurationError
from ctxbridge.integrations import _versions

ROOM = Path(ctxbridge.__file__).parent / "integrations"
FRAMEWORKS = sorted(p.stem for p in ROOM.iterdir() if not p.stem.startswith("_"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_no_integration_imports_another(name):
    others = {f"ctxbridge.integrations.{other}" for other in FRAMEWORKS if other != name}
    files = [*(ROOM / name).rglob("*.py"), *ROOM.glob(f"{name}.py")]
    assert files
    for path in files:
        found = {".".join(module.split(".")[:3]) for module in imported(path)}
        assert not found & others, path


def test_the_root_and_the_bridge_load_none_of_them():
    code = (
        "import sys, ctxbridge; ctxbridge.Bridge('memory://', tenant='t'); print(list(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert "ctxbridge.bridge" in loaded.stdout
    assert "ctxbridge.integrations" not in loaded.stdout


class TestVersions:
    def test_a_version_in_the_range_is_fine(self):
        _versions.require("msgspec", "0.18", "99")
        _versions.require("msgspec", version("msgspec"), "99")

    @pytest.mark.parametrize(
        ("lowest", "below"), [("99", "100"), ("0.1", "0.2"), ("0.1", version("msgspec"))]
    )
    def test_another_is_named_in_the_error(self, lowest, below):
        with pytest.raises(ConfigurationError) as caught:
            _versions.require("msgspec", lowest, below)
        assert f"msgspec>={lowest},<{below}" in str(caught.value)
        assert version("msgspec") in str(caught.value)

    def test_a_missing_one_is_named(self):
        with pytest.raises(
            ConfigurationError, match="no-such-framework>=1,<2, which is not installed"
        ):
            _versions.require("no-such-framework", "1", "2")

    @pytest.mark.parametrize(("found", "fits"), [
        ("1.2", True), ("1.2.24", True), ("1.10.0", True), ("1.2.0rc1", True), ("1.1.9", False), ("2.0", False),
        ("2.0.0b1", False), ("1", False), ("unknown", False),
    ])  # fmt: skip
    def test_numbers_are_compared_as_numbers(self, monkeypatch, found, fits):
        monkeypatch.setattr(_versions, "version", lambda _: found)
        if fits:
            _versions.require("it", "1.2", "2")
        else:
            with pytest.raises(ConfigurationError):
                _versions.require("it", "1.2", "2")

    @pytest.mark.parametrize(
        ("module", "package"),
        [("langgraph", "langgraph-checkpoint"), ("langchain", "langchain-core")],
    )
    def test_an_integration_refuses_a_framework_of_another_age(self, module, package):
        pytest.importorskip(module)
        code = (
            "import importlib.metadata as m; real = m.version; "
            f"m.version = lambda name: '0.9' if name == {package!r} else real(name); "
            f"import ctxbridge.integrations.{module}"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, text=True
        )
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith(
            "ctxbridge.errors.ConfigurationError: this integration needs " + package
        )
        assert last.endswith("0.9 is installed")
