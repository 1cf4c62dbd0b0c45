"""The issue-value of RFC 8659 section 4.2, which CAA records and those of dns-persist-01 have in common. Pure.

``ISSUER; NAME=VALUE; NAME=VALUE``.
"""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"([A-Za-z0-9](?:-*[A-Za-z0-9])*)[ \t]*=[ \t]*([\x21-\x3a\x3c-\x7e]*)")


def parse_issue_value(text: str) -> tuple[str, tuple[tuple[str, str], ...] | None]:
    """The issuer, and the parameters by name, as often as they come; None for them where one is no NAME=VALUE.

    So is an empty one, such as after a last semicolon. Issuer and names are in lower case, the issuer without its last
    dot; it is empty where the text names none, and otherwise whatever stands there.
    """
    issuer, *rest = (part.strip(" \t") for part in text.split(";"))
    found = [_PARAMETER.fullmatch(part) for part in rest]
    pairs = tuple((one[1].lower(), one[2]) for one in found if one)
    return issuer.lower().removesuffix("."), pairs if len(pairs) == len(rest) else None
