"""The bots on agent frameworks run as they are, without a key, and fit on a screen."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAID = {
    "openai_agents_bot": ("agents", ["A-17 arrives on Tuesday. (new)", "You are welcome. (new)",
                                     "You are welcome. (duplicate)"]),
    "pydantic_ai_bot": ("pydantic_ai", ["It arrives on Tuesday. (new)", "It arrives on Tuesday. (new)",
                                        "It arrives on Tuesday. (duplicate)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_it_runs_without_a_key(name):
    package, said = SAID[name]
    pytest.importorskip(package, reason=f"needs the extra for {package}")
    path = EXAMPLES / f"{name}.py"
    assert path.read_text().count("\n") <= 40
    done = subprocess.run(
        [sys.executable, path],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(" -> ")[2] for line in done.stdout.splitlines()] == said
