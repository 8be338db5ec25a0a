"""What a request is called where nobody described the API: its method and path, with what looks like an id left out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.inputs.http_wire import HttpOptions

#: a number, a UUID, a long hex, or a long word with a digit in it
_ID = re.compile(
    r"\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{12,}|(?=[^/]*\d)[\w.~%:-]{10,}",
)


def named(options: HttpOptions, method: str, path: str) -> tuple[str, Mapping[str, str]]:
    """The operation, and the values of its placeholders."""
    for operation in options.operations:
        if (values := operation.matches(method, path)) is not None:
            return operation.name, values
    return f"{method} {template(path)}", {}


def template(path: str) -> str:
    """A path without its ids."""
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))
