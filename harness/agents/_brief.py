"""What an agent is told, and what it is: a way of drawing plans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness.agents._draw import Pen, strategy
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.model import Plan
from harness.registry import subclasses

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, kw_only=True)
class Brief:
    """All that an agent may know. ``options``: its own, from the scenario; ``live``: plays are of real processes."""

    target: Target
    scenario: Scenario
    seed: int = 0
    live: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class Agent(ABC):
    """A way of drawing plans. Subclasses live one a file in harness/agents.

    ``compose`` draws a whole plan with a pen. A pen's simplest choice is its first, so options stand simplest first:
    one actor, in order, no fault, no wait.
    """

    name: ClassVar[str] = ""
    #: what a scenario may ask of it: option → help
    options: ClassVar[Mapping[str, str]] = {"subjects": "what changes may be about, first the usual one"}

    @abstractmethod
    def compose(self, pen: Pen, brief: Brief) -> Plan:
        """One whole plan."""

    def plans(self, brief: Brief) -> SearchStrategy[Plan]:
        """The same as a Hypothesis strategy."""
        return strategy(lambda pen: self.compose(pen, brief))

    def deck(self, brief: Brief) -> tuple[Plan, ...]:
        """Plans worth playing beside what is drawn; few, the same for every seed, which only orders them anew."""
        return ()


def known_agents() -> Mapping[str, type[Agent]]:
    """Every agent by name."""
    return subclasses("harness.agents", Agent)  # type: ignore[type-abstract]
