"""One file a provider protocol: a real vendor's REST dialect over the simulated backend."""
