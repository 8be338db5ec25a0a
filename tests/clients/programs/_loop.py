"""One JSON object a line in, one out: what every client's program has in common. Standard library only.

    {"do": "bell", "shots": 1000}   →   {"value": {"00": 498, "11": 502}}
                                        {"error": "IonQAPIError", "message": "…"}

A program defines functions by the names of the verbs and ends with ``run(devices=…, bell=…, …)``.
Verbs that all clients know: devices(), bell(shots), ghz(qubits, shots), batch(shots) → list of counts,
submit(shots) → id, result(id) → counts, cancel(id), status(id). Counts: {"bit string, qubit 0 rightmost": n}.
"""

import json
import os
import sys
import warnings


def run(**verbs):
    """Serve until stdin ends. What the SDK prints goes to stderr, so that stdout holds answers alone."""
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_answer(verbs, asked)), file=out, flush=True)


def _answer(verbs, asked):
    verb = asked.pop("do")
    if verb not in verbs:
        return {"error": "UnknownVerb", "message": f"{verb!r}; known: {', '.join(sorted(verbs))}"}
    try:
        return {"value": verbs[verb](**asked)}
    except Exception as error:
        # whatever the SDK raises is the answer
        return {"error": type(error).__name__, "message": str(error)}
