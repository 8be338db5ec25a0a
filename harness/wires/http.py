"""HTTP/1.1."""

from __future__ import annotations

from typing import ClassVar

from harness.injection import Layer
from harness.inputs.http_wire import http_options
from harness.inputs.target import WireUse
from harness.wires._http_exchange import Connection
from harness.wires._http_south import South
from harness.wires._wire import Line, Stream, Wire


class Http(Wire):
    """Relays requests and answers; faults of layer ``http`` strike them by ``at``.

    While nothing can disturb, bytes pass as they come. Else a request is read to its end first, and its answer too, up
    to a limit; one that nothing changed still leaves as it came. A connection of the target has one of its own to the
    dependency, so what one side does to it the other one feels.
    """

    name: ClassVar[str] = "http"
    layers: ClassVar[tuple[Layer, ...]] = ("tcp", "http")

    def __init__(self, use: WireUse, line: Line) -> None:
        super().__init__(use, line)
        self.options = http_options(use.options, use.name)
        self.south = South(self.options)

    async def carry(self, client: Stream, upstream: Stream) -> None:
        """Exchange by exchange."""
        await Connection(self, self.options, self.south, client, upstream).carry()
