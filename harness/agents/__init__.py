"""One file an agent: a strategy that draws plans."""
