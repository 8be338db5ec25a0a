"""Which qubits of a device are coupled, by rule: pairs (lower, higher), ascending."""

from __future__ import annotations

from collections.abc import Sequence

Pairs = tuple[tuple[int, int], ...]

#: IBM's five-qubit Falcons
TEE: Pairs = ((0, 1), (1, 2), (1, 3), (3, 4))


def grid(rows: int, columns: int) -> Pairs:
    """A square lattice, numbered row by row."""
    across = [(r * columns + c, r * columns + c + 1) for r in range(rows) for c in range(columns - 1)]
    down = [(r * columns + c, (r + 1) * columns + c) for r in range(rows - 1) for c in range(columns)]
    return tuple(sorted(across + down))


def heavy_hex(
    rows: Sequence[tuple[int, int]], bridges: tuple[Sequence[int], Sequence[int]], trailing: bool = False
) -> Pairs:
    """Rows of qubits, joined by single qubits between them, numbered row, bridges, row, …

    ``rows``: the first and the last column of each; ``bridges``: the columns of bridges under even and under odd rows;
    ``trailing``: there are bridges under the last row as well, which lead nowhere.
    """
    places: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int]] = []
    under: dict[int, int] = {}
    for r, (first, last) in enumerate(rows):
        for column in range(first, last + 1):
            places[r, column] = len(places)
            if column > first:
                found.append((places[r, column - 1], places[r, column]))
        found += [(bridge, places[r, column]) for column, bridge in under.items()]
        under = {}
        if r < len(rows) - 1 or trailing:
            for column in bridges[r % 2]:
                places[-1 - r, column] = len(places)
                under[column] = places[-1 - r, column]
                found.append((places[r, column], under[column]))
    return tuple(sorted(found))


def falcon() -> Pairs:
    """IBM's 27 qubits: two heavy hexagons."""
    return (
        *((0, 1), (1, 2), (1, 4), (2, 3), (3, 5), (4, 7), (5, 8), (6, 7), (7, 10), (8, 9), (8, 11), (10, 12)),
        *((11, 14), (12, 13), (12, 15), (13, 14), (14, 16), (15, 18), (16, 19), (17, 18), (18, 21), (19, 20)),
        *((19, 22), (21, 23), (22, 25), (23, 24), (24, 25), (25, 26)),
    )


def eagle() -> Pairs:
    """IBM's 127 qubits."""
    rows = ((0, 13), *((0, 14),) * 5, (1, 14))
    return heavy_hex(rows, ((0, 4, 8, 12), (2, 6, 10, 14)))


def heron_r1() -> Pairs:
    """IBM's 133 qubits."""
    return heavy_hex(((0, 14),) * 7, ((0, 4, 8, 12), (2, 6, 10, 14)), trailing=True)


def heron_r2() -> Pairs:
    """IBM's 156 qubits."""
    return heavy_hex(((0, 15),) * 8, ((3, 7, 11, 15), (1, 5, 9, 13)))
