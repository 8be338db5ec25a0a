"""Pipelines that can be tested."""
