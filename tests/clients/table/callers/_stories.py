"""What a caller does with an SDK, in the SDK's own words but with its defaults: what a plain pipeline would write.

A caller's module gives some of: device(), submit(device, circuits, shots), counts(job, timeout_s),
again(job, timeout_s), cancel(job), session(device), fleet(device, circuits, shots). A circuit is a list of
(gate, qubit[, angle]) on three qubits that are all measured; counts are a list, one {"bits, qubit 0 rightmost": n} a
circuit, or what else came.
"""

from math import asin, sqrt

#: a third of one outcome, two thirds of the other: neither reversed bits nor lost ones look alike
_ANGLE = 2 * asin(sqrt(1 / 3))
CIRCUITS = {
    # {001: 2/3, 101: 1/3}
    "top": [("x", 0), ("ry", 2, _ANGLE)],
    # {001: 2/3, 011: 1/3}: the highest bit is never set
    "low": [("x", 0), ("ry", 1, _ANGLE)],
}
QUBITS = 3


class NoDevice(Exception):
    """None is available; raised by a caller whose SDK leaves the choice to it."""


def stories(caller):  # noqa: PLR0915 (a list of short functions over one caller)
    """Story → function; those that the SDK has no words for are missing."""

    def run(at, timeout_s, circuits=("top",), shots=300):
        """Submit, wait, read."""
        at("device")
        device = caller.device()
        at("submit")
        job = caller.submit(device, [CIRCUITS[c] for c in circuits], shots)
        at("result")
        return caller.counts(job, timeout_s)

    def two(at, timeout_s, shots=300):
        """Two jobs one after the other; the second's result is told."""
        at("device")
        device = caller.device()
        at("submit")
        caller.counts(caller.submit(device, [CIRCUITS["low"]], shots), timeout_s)
        job = caller.submit(device, [CIRCUITS["top"]], shots)
        at("result")
        return caller.counts(job, timeout_s)

    def twice(at, timeout_s, circuits=("top",), shots=300):
        """Read once, then again by the job's id, as after a restart; both are told."""
        at("device")
        device = caller.device()
        at("submit")
        job = caller.submit(device, [CIRCUITS[c] for c in circuits], shots)
        at("result")
        first = caller.counts(job, timeout_s)
        at("again")
        return [*first, *caller.again(job, timeout_s)]

    def cancel(at, timeout_s, shots=300):
        """Submit, cancel, then ask for the result all the same."""
        at("device")
        device = caller.device()
        at("submit")
        job = caller.submit(device, [CIRCUITS["top"]], shots)
        at("cancel")
        caller.cancel(job)
        at("result")
        return caller.counts(job, timeout_s)

    def session(at, timeout_s, shots=300, pause_s=2.0):
        """Two jobs of a session with a pause between them; the second's result is told."""
        import time

        at("device")
        device = caller.device()
        at("session")
        opened = caller.session(device)
        at("submit")
        caller.counts(caller.submit(opened, [CIRCUITS["low"]], shots), timeout_s)
        time.sleep(pause_s)
        at("submit again")
        job = caller.submit(opened, [CIRCUITS["top"]], shots)
        at("result")
        return caller.counts(job, timeout_s)

    def fleet(at, timeout_s, circuits=("top",), shots=300):
        """A batch of jobs, as the SDK's own batch call runs and repeats them."""
        at("device")
        device = caller.device()
        at("result")
        return caller.fleet(device, [CIRCUITS[c] for c in circuits], shots)

    needs = {run: (), two: (), twice: ("again",), cancel: ("cancel",), session: ("session",), fleet: ("fleet",)}
    return {f.__name__: f for f, words in needs.items() if all(hasattr(caller, w) for w in words)}
