"""Benchmarks, as ratios in one run: machines are shared, absolute times drift. They are no tests."""
