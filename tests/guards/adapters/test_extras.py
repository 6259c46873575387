"""Adapters whose package is missing say which extra to install, and load nothing before that."""

import subprocess
import sys

import pytest

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.adapters import extras

MAKERS = {
    "acs": "acs('manifest.yaml')",
    "moderation": "moderation('https://acme.example')",
    "openai_guardrails": "openai_guardrails({'Secret Keys': {}})",
    "presidio": "presidio()",
}
PACKAGES = ("agent_control_spec", "agent_hooks", "httpx", "guardrails", "openai", "presidio_analyzer", "spacy", "tldextract")  # fmt: skip

# What is not there cannot be imported, and neither has it metadata.
WITHOUT = """
import importlib.abc, importlib.metadata, sys

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages}:
            raise ModuleNotFoundError(name)

def version(name):
    raise importlib.metadata.PackageNotFoundError(name)

sys.meta_path.insert(0, Nothing())
importlib.metadata.version = version
from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.adapters.{name} import {name}
try:
    {maker}
except ConfigurationError as error:
    print(error)
"""
LOADED = """
import sys
from ctxbridge.guards.adapters import {names}
print({packages} & {{module.split(".")[0] for module in sys.modules}})
"""


def printed(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", MAKERS)
def test_the_extra_to_install_is_named(name):
    said = printed(WITHOUT.format(packages=set(PACKAGES), name=name, maker=MAKERS[name]))
    extra = name.replace("_", "-")
    assert f'pip install "ctxbridge[{extra}]"' in said


def test_the_modules_alone_load_no_package():
    names = ", ".join(MAKERS)
    assert printed(LOADED.format(packages=set(PACKAGES), names=names)) == "set()"


def test_what_is_there_is_loaded():
    assert extras.load("json", "nothing").dumps({}) == "{}"
    with pytest.raises(ConfigurationError, match=r"ctxbridge\[nothing\]"):
        extras.load("no_such_module", "nothing")
