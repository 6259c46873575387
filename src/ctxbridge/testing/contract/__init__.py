"""The contract: what every store promises, as tests. See `ctxbridge.ports.Store`."""

import pytest

from ctxbridge.testing.contract.erasing import ErasureContract
from ctxbridge.testing.contract.listing import ListingContract
from ctxbridge.testing.contract.merging import MergingContract
from ctxbridge.testing.contract.outbox import OutboxContract
from ctxbridge.testing.contract.overlap import OverlapContract
from ctxbridge.testing.contract.reading import ReadingContract
from ctxbridge.testing.contract.records import RecordContract
from ctxbridge.testing.contract.settling import SettlingContract
from ctxbridge.testing.contract.steering import SteeringContract
from ctxbridge.testing.contract.turns import TurnContract
from ctxbridge.testing.contract.waiting import WaitingContract


class StoreContract(
    TurnContract, OverlapContract, WaitingContract, OutboxContract, SettlingContract,
    ReadingContract, ListingContract, ErasureContract, MergingContract, RecordContract,
    SteeringContract,
):  # fmt: skip
    """Subclass it, with a fixture `store` that gives an opened, empty store.

    Each test runs on the event loops that anyio's plugin is told (its fixture `anyio_backend`).
    """

    pytestmark = pytest.mark.anyio


__all__ = ["StoreContract"]
