"""What the tests of control share: asyncio, and a quiet log."""

import logging

import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def quiet(caplog):
    """Turns are stopped by the thousand, and each is told in the log."""
    caplog.set_level(logging.CRITICAL)
