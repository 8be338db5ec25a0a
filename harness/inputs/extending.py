"""``extends: other.yaml``: a file that says only in what it differs from another."""

from __future__ import annotations

from pathlib import Path

from harness.inputs import documents
from harness.inputs.nodes import Node

#: a chain of files longer than this leads in circles
_MOST_FILES = 8


def extended(root: Node, depth: int = 0) -> Node:
    """A document with what it extends below it: mappings are merged, all else is replaced, null takes a key away.

    What a mapping adds comes first, as processes start in the order of the file.

    Paths are relative to the extending file, so the other must lie in the same folder.
    """
    other = root.members.get("extends") if root.is_mapping else None
    if other is None:
        return root
    if Path(other.text()).name != other.text():
        raise other.problem(
            f"{other.text()!r} is not in this folder", "Paths of both files are relative to one folder."
        )
    if depth == _MOST_FILES:
        raise other.problem(f"more than {_MOST_FILES} files extend each other", "Does one of them extend itself?")
    base = extended(documents.load(Path(root.place.path).parent / other.text()), depth + 1)
    return _merged(base, root, top=True)


def _merged(base: Node, over: Node, top: bool = False) -> Node:
    if not base.is_mapping or not over.is_mapping:
        return over
    # what is added comes first: a store must be up before what it is added to
    merged = {k: n for k, n in over.members.items() if k not in base.members and n.value is not None}
    for key, node in base.members.items():
        change = over.members.get(key)
        if change is None:
            merged[key] = node
        elif change.value is not None:
            merged[key] = _merged(node, change)
    if top:
        merged.pop("extends", None)
    return Node(merged, over.place, over.trail, {**base.keys, **over.keys})
