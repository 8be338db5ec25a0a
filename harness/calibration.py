"""Replaced by helper P."""


class Calibration:
    """Stub."""
