"""IBM's errors: codes of its public registry, and the form in which its API says them.

Codes from docs/errors.rst of qiskit-ibm-runtime, an older state of the registry that IBM publishes; 1305 as its client
explains it. 1217, 1291 and which status goes with which code are from memory: don't test a pipeline against those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MORE_INFO = "https://quantum.cloud.ibm.com/docs/errors"
_RETRY = "Retry the action. If it happens again, contact IBM Quantum for help."

#: code → what to do
SOLUTIONS: Mapping[int, str] = {
    1000: _RETRY,
    1004: "Use another backend to run the job.",
    1007: "Verify that the correct backend name was specified.",
    1012: "Wait until some previous jobs were finished. You can cancel pending jobs to run new jobs.",
    1109: "Run the job on a backend that supports sufficient number of qubits for the job.",
    1217: "Retry the job using an open session.",
    1291: "Check the job ID is correct. Verify that you have the correct account permissions, and try again.",
    1305: "Reduce the complexity of the job, or raise its maximum execution time.",
    1999: "Please wait. The service will be back up soon.",
    2402: "Reduce the number of concurrent requests.",
    2407: "Try to log in again.",
    2408: "Try to log in again.",
    2409: "You don't have authority to perform the action.",
    2600: "Try to use another backend.",
    2622: "Try to use another backend.",
    3208: "Check the status of the job.",
    3211: "Check the job sent, maybe it is wrong.",
    3216: "Change the limit sent into the request.",
    3220: "Change the body sent into the request. Maybe its format is wrong.",
    3242: "Send smaller number of circuits in the job.",
    3243: "Reduce the content of the circuit.",
    3248: "Reduce the content of the job.",
    3253: _RETRY,
    3302: "Check the job information. Maybe it is wrong.",
    3500: "Check the body of the request.",
    3811: "Check the request that you are trying to perform.",
    4001: "Ensure session is not closed before all jobs in session have run.",
    5203: "Try to run the job again.",
    6000: "Reduce the requested number of shots.",
    6001: "Increase the requested number of shots.",
    7001: "Remove unsupported instruction, or run on a simulator that supports it.",
    8009: "Use classified measurements.",
}

#: status → the code of an error that has no more precise one
DEFAULTS: Mapping[int, int] = {
    400: 3220,
    401: 2408,
    403: 2409,
    404: 3811,
    405: 3811,
    409: 3211,
    413: 3248,
    429: 2402,
    503: 1999,
    504: 3253,
}


def body(status: int, message: str, code: int | None, trace: str) -> dict[str, Any]:
    """The JSON of an error. ``trace``: the id under which support would find the request."""
    number = code if code is not None else DEFAULTS.get(status, 1000)
    error = {
        "code": number,
        "message": message,
        "solution": SOLUTIONS.get(number, _RETRY),
        "more_info": f"{MORE_INFO}#{number}",
    }
    return {"errors": [error], "trace": trace}
