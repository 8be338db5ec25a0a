"""Real, unmodified vendor clients against a served backend."""
