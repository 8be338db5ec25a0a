"""One file an area: invariants as pure functions of a case."""
