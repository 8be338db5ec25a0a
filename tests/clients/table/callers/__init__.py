"""Programs of the table that run in a client's own environment."""
