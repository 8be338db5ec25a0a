"""Contracts over the registries: a new member is tested the moment its file exists."""

import pytest

# their asserts are read by people as well
pytest.register_assert_rewrite("tests.families.wire_checks")
