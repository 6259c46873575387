"""What a storm's processes share: the plan, and the folder where they meet."""

from pathlib import Path

from msgspec import Struct

from ctxbridge.testing.storm.plan import Plan
from ctxbridge.testing.storm.stages import Stages


class Ground(Struct, frozen=True):
    """The plan and the folder; each process makes the rest of it for itself."""

    plan: Plan
    folder: str

    @property
    def socket(self) -> str:
        """Where workers find the driver."""
        return str(Path(self.folder) / "storm")

    @property
    def stages(self) -> Stages:
        """How far the workers' turns are."""
        return Stages(Path(self.folder) / "stages", self.plan.workers)

    @property
    def ended(self) -> Path:
        """Where a worker writes why it ended."""
        return Path(self.folder) / "ended"
