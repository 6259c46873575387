"""What users hold on to: the public names, what an import costs, the error tree, the house's sizes."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ctxbridge
from ctxbridge import errors, ports

SOURCE = Path(ctxbridge.__file__).parent

NAMES = [
    "Address", "Assurance", "Attachment", "Bridge", "Contact", "Context", "CtxBridgeError", "Decision",
    "Endpoint", "Event", "Inbound", "Link", "Message", "Overlap", "RawRequest", "Receipt", "Release", "Text", "Turn", "Verdict",
    "channels", "errors", "guards", "open_store",
]  # fmt: skip


class TestFrontDoor:
    def test_the_public_names_are_these_and_at_most_24(self):
        assert sorted(ctxbridge.__all__) == NAMES
        assert len(NAMES) <= 24

    def test_each_is_there_and_documented(self):
        for name in NAMES:
            assert inspect.getdoc(getattr(ctxbridge, name)), name
        assert set(NAMES) < set(dir(ctxbridge))

    def test_a_wrong_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="nonsense"):
            _ = ctxbridge.nonsense


def modules_after(statement):
    program = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


class TestImports:
    def test_the_root_loads_nothing_that_is_heavy(self):
        heavy = {
            "redis",
            "pydantic",
            "opentelemetry",
            "msgspec",
            "anyio",
            "asyncio",
            "sqlite3",
            "twilio",
        }
        assert not modules_after("import ctxbridge") & heavy

    def test_the_bridge_loads_neither_redis_nor_pydantic_nor_an_sdk(self):
        loaded = modules_after("import ctxbridge; ctxbridge.Bridge('memory://', tenant='t')")
        assert not loaded & {
            "redis",
            "pydantic",
            "twilio",
            "fastapi",
            "trio",
            "hypothesis",
            "pytest",
        }

    def test_an_adapter_loads_no_sdk_and_no_bridge(self):
        names = "Twilio, Email, WebChat, Sinch, SinchSms, WhatsApp"
        loaded = modules_after(f"from ctxbridge.channels import {names}")
        assert not loaded & {"redis", "pydantic", "twilio", "sinch", "opentelemetry", "jwt"}


def all_modules():
    """All but the integrations whose framework is not here."""
    found = pkgutil.walk_packages([str(SOURCE)], "ctxbridge.", onerror=lambda _: None)
    return [m.name for m in found if not m.name.endswith("__main__") and importable(m.name)]


def importable(name):
    try:
        importlib.import_module(name)
    except errors.ConfigurationError:
        assert name.startswith("ctxbridge.integrations."), name
        return False
    return True


def is_here(integration):
    """Whether the framework of an integration is installed; the import tells it."""
    try:
        importlib.import_module(integration)
    except errors.ConfigurationError:
        return False
    return True


class TestErrors:
    def tree(self):
        return [c for _, c in inspect.getmembers(errors, inspect.isclass)]

    def test_there_is_one_root(self):
        assert all(issubclass(c, errors.CtxBridgeError) for c in self.tree())

    def test_the_drawing_shows_every_error_once(self):
        for kind in self.tree():
            assert (
                errors.__doc__.count(f" {kind.__name__} ")
                + errors.__doc__.count(f" {kind.__name__}\n")
                == 1
            ), kind

    def test_each_says_whose_fault_it_is_and_whether_a_retry_is_safe(self):
        assert {c.fault for c in self.tree()} == {"caller", "peer", "store"}
        assert {c.__name__ for c in self.tree() if c.retry_safe} == {
            "BacklogFull", "Busy", "Halted", "HistoryRolledBack", "NotDurable", "OutcomeUnknown", "Overdue",
            "ReplyMismatch", "StoreClosed",
            "StoreFull", "StoreReadOnly", "TooManyChallenges", "Unavailable",
        }  # fmt: skip

    def test_no_other_room_defines_errors(self):
        for name in all_modules():
            if name.startswith("ctxbridge.integrations.") and not is_here(name):
                continue
            for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass):
                own = kind.__module__.startswith("ctxbridge") and issubclass(kind, BaseException)
                own = own and not kind.__name__.startswith("_")
                assert not own or kind.__module__ == "ctxbridge.errors", kind


class TestHouse:
    def functions(self):
        for path in SOURCE.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    doc = (ast.get_docstring(node) or "").count("\n")
                    yield f"{path.name}:{node.name}", node.end_lineno - node.lineno + 1 - doc

    def test_no_file_is_longer_than_400_lines(self):
        long = {p.name: n for p in SOURCE.rglob("*.py") if (n := p.read_text().count("\n")) > 400}
        assert long == {}

    def test_functions_are_short(self):
        lengths = sorted(length for _, length in self.functions())
        assert [f for f in self.functions() if f[1] > 60] == []
        assert lengths[len(lengths) // 2] <= 10

    def test_no_drawer_for_odds_and_ends(self):
        names = {path.stem for path in SOURCE.rglob("*.py")}
        assert not names & {"utils", "util", "common", "helpers", "misc", "types", "base"}

    def test_ports_have_at_most_eight_verbs(self):
        for name in ("Store", "Channel", "Clock", "Ids"):
            port = getattr(ports, name)
            verbs = {m for m, f in vars(port).items() if inspect.isfunction(f) and m[0] != "_"}
            assert len(verbs - {"check", "aclose"}) <= 8, name
