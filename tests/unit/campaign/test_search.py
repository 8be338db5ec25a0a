"""Searching on the fake pipeline: what is planted is found, shrunk and set aside; nothing else is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

from harness.agents._brief import Brief, known_agents
from harness.campaign.playing import Player
from harness.campaign.search import Search, _Allowance, no_local_constants, run_hypothesis
from harness.errors import ContractBroken
from harness.model import Plan, Signature
from tests.unit.campaign.fakes import RULES, FakeWorld, fake_scenario, fake_target

KEY_TWICE = Signature("J1", "key used twice")


def search(agent: str, defect: str = "", known: set[Signature] | None = None, seed: int = 1) -> Search:
    """A search on the fake pipeline."""
    world = FakeWorld(fake_target(), f"defect:{defect}" if defect else "")
    brief = Brief(target=fake_target(), scenario=fake_scenario(), seed=seed)
    player = Player(world, tuple(RULES.values()))
    return Search(known_agents()[agent](), brief, player, known if known is not None else set(), lambda p, o: None)


def test_a_slice_plays_as_many_new_plans_as_it_may() -> None:
    """Plans are counted, each is played once."""
    drawn: list[Plan] = []
    hunt = search("stories")
    hunt.drawn = lambda plan, played: drawn.append(plan)
    for _ in range(5):
        assert hunt.slice(8) is None
    assert len(drawn) == 40 == hunt.player.plays
    assert len({repr(p) for p in drawn}) == 40


def test_a_hit_is_shrunk_by_hypothesis_first() -> None:
    """The smallest plan that Hypothesis reached still shows the signature."""
    hunt = search("legal", "lost_key")
    hit = next(h for _ in range(20) if (h := hunt.slice(8)))
    assert hit.signature == KEY_TWICE
    assert KEY_TWICE in hunt.player.judge(hit.smallest).violations
    assert len(hit.smallest.steps) <= len(hit.plan.steps)
    assert hit.plays <= hunt.hypothesis_plays


def test_known_signatures_are_set_aside() -> None:
    """What is known raises no alarm and does not stop a slice."""
    hunt = search("legal", "lost_key", {KEY_TWICE})
    assert all(hunt.slice(8) is None for _ in range(10))


def test_hypothesis_plays_are_capped() -> None:
    """The count, not the clock, ends it."""
    hunt = search("stories", "lost_key")
    hunt.hypothesis_plays = 3
    hit = next(h for _ in range(20) if (h := hunt.slice(8)))
    assert hit.plays == 3


def test_the_same_seed_finds_the_same() -> None:
    """Draws, hits and shrinking are functions of the seed."""
    hits = [[search("stories", "lost_key", seed=seed).slice(60) for _ in range(2)] for seed in (1, 2)]
    assert all(one == other for one, other in hits)
    assert hits[0][0] != hits[1][0]


def test_the_deck_comes_first() -> None:
    """Every fault at every site is tried beside what chance draws, up to half a slice at a time."""
    hunt = search("swarm")
    drawn: list[Plan] = []
    hunt.drawn = lambda plan, played: drawn.append(plan)
    hunt.slice(8)
    deck = hunt.agent.deck(hunt.brief)
    assert all(p in deck for p in drawn[:4])


def test_the_order_of_the_deck_depends_on_the_seed() -> None:
    """Five seeds are five observations; the cards are the same."""
    one, other, again = (dealt_cards(seed) for seed in (1, 2, 1))
    assert one == again != other
    assert sorted(map(repr, one)) == sorted(map(repr, other))


def dealt_cards(seed: int) -> list[Plan]:
    """The whole deck as a search deals it."""
    hunt, drawn = search("swarm", seed=seed), list[Plan]()
    hunt.drawn = lambda plan, played: drawn.append(plan)
    hunt._deal(_Allowance(10_000), 10_000)
    return drawn


def test_an_expired_budget_ends_the_cuts_of_hypothesis() -> None:
    """The hit stays, as small as it is."""
    hunt = search("stories", "lost_key")
    hunt.drawn = lambda plan, played: setattr(hunt, "expired", lambda: bool(played.judged.violations))
    hit = next(h for _ in range(20) if (h := hunt.slice(8)))
    assert hit.plays == 0


def test_an_expired_budget_draws_nothing() -> None:
    """Time is asked before each play."""
    hunt = search("legal")
    hunt.expired = lambda: True
    assert hunt.slice(8) is None
    assert hunt.player.plays == 0


def test_ctrl_c_is_not_swallowed() -> None:
    """It goes through Hypothesis to whoever keeps what was found."""

    def interrupt(plan: Plan) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_hypothesis(known_agents()["legal"]().plans(search("legal").brief), 1, 5, interrupt)


def draws() -> list[int]:
    """Integers from a wide range, where a mined literal would show."""
    numbers: list[int] = []
    run_hypothesis(st.integers(0, 10**9), 7, 200, numbers.append)  # type: ignore[arg-type]
    return numbers


def test_draws_do_not_change_with_the_targets_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis mines literals from locally imported modules: a target's threshold must not leak into draws."""
    before = draws()
    source = tmp_path / "a_local_target.py"
    source.write_text("THRESHOLD = 777123\n")
    spec = importlib.util.spec_from_file_location("a_local_target", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "a_local_target", module)
    spec.loader.exec_module(module)
    assert 777123 in providers._get_local_constants().integers
    assert draws() == before
    assert 777123 not in before


def test_local_constants_are_back_afterwards() -> None:
    """Other users of Hypothesis in the process are left alone."""
    mine = providers._get_local_constants
    with no_local_constants():
        assert providers._get_local_constants is not mine
    assert providers._get_local_constants is mine


def test_an_unknown_hypothesis_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws that silently depend on source code would be worse than none."""
    monkeypatch.delattr(providers, "_get_local_constants")
    with pytest.raises(ContractBroken, match="mines local constants"), no_local_constants():
        pass
