"""What callers of real clients see under faults: ``python -m tests.clients.table`` writes docs/clients.md."""
