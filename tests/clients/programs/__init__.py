"""Programs that run in a vendor client's own environment: the standard library and that SDK, nothing of ours."""
