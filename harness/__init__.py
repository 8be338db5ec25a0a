"""qharness tests hybrid quantum-classical pipelines from both sides at once."""

__version__ = "0.1.0"
