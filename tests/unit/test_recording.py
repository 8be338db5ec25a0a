"""The recorder numbers and dates what happens."""

from __future__ import annotations

from harness.facts import FaultsHealed, Waited
from harness.model import Event
from harness.recording import Recorder


class HandClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    async def sleep_ms(self, ms: float) -> None:
        raise AssertionError("a recorder never waits")


def test_events_are_numbered_and_dated_and_answers_know_their_cause() -> None:
    clock = HandClock()
    recorder = Recorder(clock)
    cause = recorder.record(Waited(step="s1", ms=1), "invoke")
    clock.at_ns = 7
    assert recorder.record(FaultsHealed(), "fail", cause) == 1
    first, second = recorder.history()
    assert first == Event(0, 0, "invoke", Waited(step="s1", ms=1))
    assert second == Event(1, 7, "fail", FaultsHealed(), cause=0)


def test_a_history_is_not_changed_by_what_comes_later() -> None:
    recorder = Recorder(HandClock())
    recorder.record(FaultsHealed())
    early = recorder.history()
    recorder.record(FaultsHealed())
    assert (len(early), len(recorder.history())) == (1, 2)


def test_a_recorder_goes_on_where_a_template_stopped() -> None:
    before = (Event(0, 0, "ok", FaultsHealed()), Event(1, 3, "ok", FaultsHealed()))
    recorder = Recorder(HandClock(), before)
    assert recorder.record(FaultsHealed()) == 2
    assert recorder.history().events[:2] == before
