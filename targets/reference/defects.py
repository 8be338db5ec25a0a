"""The known ways in which this service can be built wrong, for those who test their testers.

A build reads the switches once, at start, from the setting ``DEFECTS``; no response ever shows them. Each switch acts
at one place, next to the correct code. ``defects.yaml`` describes them. Those in ``LIVE`` show only where the workers
are processes of their own.
"""

from __future__ import annotations

KNOWN = frozenset(
    [
        "APR-01",
        "APR-02",
        "APR-04",
        "APR-06",
        "APR-08",
        "APR-09",
        "APR-10",
        "APR-11",
        "APR-12",
        "APR-14",
        "APR-19",
        "APR-23",
        "APR-24",
        "QUO-01",
        "QUO-03",
        "QUO-04",
        "QUO-05",
        "QUO-09",
        "QUO-16",
        "QUO-20",
        "FBK-02",
        "FBK-03",
        "FBK-05",
        "FBK-07",
        "FBK-14",
        "JOB-01",
        "JOB-02",
        "JOB-03",
        "JOB-05",
        "JOB-06",
        "JOB-08",
        "JOB-09",
        "JOB-11",
        "JOB-15",
        "JOB-16",
        "JOB-19",
        "AUD-01",
        "AUD-06",
    ]
)
#: they are about leases, and a process that is alone on its store takes none
LIVE = frozenset(["QUO-04", "JOB-08", "JOB-09"])

Defects = frozenset[str]


def parse(text: str) -> Defects:
    """Comma-separated ids as a set; ValueError names those that are unknown."""
    chosen = frozenset(filter(None, (part.strip() for part in text.split(","))))
    if unknown := chosen - KNOWN:
        raise ValueError(f"DEFECTS names unknown ids: {', '.join(sorted(unknown))}")
    return chosen
