"""The program as it is typed, and stores that a service has written to."""

from pathlib import Path

import pytest
from tests.cli.service import Done, Run, write

from ctxbridge.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Done:
        monkeypatch.setenv("COLUMNS", "120")
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture(params=["sqlite", "redis"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """A store on which both releases are known, and Ann has an answer from v11."""
    if request.param == "sqlite":
        db: object = tmp_path / "store.db"
    else:
        db = f"{request.getfixturevalue('server').url}?prefix={tmp_path.name}"
    write(db, "hello")
    return db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    db = tmp_path / "store.db"
    write(db, "hello")
    return db
