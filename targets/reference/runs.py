"""What a run is, apart from who runs it: the manifest that is weighed, approved, digested and executed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from targets.reference.digests import digest
from targets.reference.settings import REGIONS, Settings

#: where a run goes unless it says otherwise
DEFAULT_BACKEND: Literal["qpu.forte-1"] = "qpu.forte-1"
CLASSICAL = "classical"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Rows of features, shots for each circuit, how often the whole batch is repeated, and the device."""

    batch: tuple[tuple[float, ...], ...]
    shots: int
    repeats: int = 1
    backend: str = DEFAULT_BACKEND

    @property
    def circuits(self) -> int:
        """Different circuits: one a row."""
        return len(self.batch)

    @property
    def weight(self) -> int:
        """All shots of the run: circuits x shots x repeats."""
        return self.circuits * self.shots * self.repeats

    @property
    def region(self) -> str:
        """Where the data goes."""
        return REGIONS[self.backend]

    @property
    def digest(self) -> str:
        """The manifest's identity: what is approved and what runs have the same."""
        return digest(asdict(self))

    def guarded_weight(self, settings: Settings) -> int:
        """The weight that the policy is asked about."""
        if "APR-24" in settings.defects:
            return self.shots
        return self.weight

    def amounts(self) -> dict[str, int]:
        """What the primary run holds of the tenant's quota."""
        return {"shots": self.weight, "concurrent_jobs": 1}
