"""Searching: budget, agents, shrinking, verdicts of a run."""
