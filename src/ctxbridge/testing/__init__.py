"""What a store must prove, for our own stores and for those of others.

::

    from ctxbridge.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            async with MyStore() as store:
                yield store

Run with pytest and anyio's plugin. `store_machine` makes a Hypothesis state machine of any store;
it needs the extra ``ctxbridge[testing]``.
"""

from typing import TYPE_CHECKING, Any

from ctxbridge.testing.actor import Actor
from ctxbridge.testing.contract import StoreContract

if TYPE_CHECKING:
    from ctxbridge.testing.machine import store_machine

__all__ = ["Actor", "StoreContract", "store_machine"]


def __getattr__(name: str) -> Any:
    if name == "store_machine":
        from ctxbridge.testing.machine import store_machine

        return store_machine
    raise AttributeError(f"module 'ctxbridge.testing' has no attribute {name!r}")
