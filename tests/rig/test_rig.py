from __future__ import annotations

import json
import ssl
import urllib.request

from tests.rig.parts.pebble import Pebble
from tests.rig.parts.rig import Rig


def test_the_engine_answers(rig: Rig) -> None:
    assert rig.docker().ping()


def test_the_usual_ca_answers_with_a_nonce(pebble: Pebble) -> None:
    context = ssl.create_default_context(cafile=str(pebble.ca_bundle))
    with urllib.request.urlopen(pebble.directory, context=context) as answer:
        directory = json.load(answer)
    request = urllib.request.Request(directory["newNonce"], method="HEAD")
    with urllib.request.urlopen(request, context=context) as answer:
        assert answer.headers["Replay-Nonce"]
