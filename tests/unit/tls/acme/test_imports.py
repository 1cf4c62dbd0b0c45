"""What an import costs: settings and the thin functions load neither acme nor josepy nor requests."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = {"acme", "josepy", "requests", "cryptography"}


@pytest.mark.parametrize(
    ("module", "loaded"),
    [
        ("regdeploy.tls.acme", set()),
        ("regdeploy.tls.acme.settings", set()),
        ("regdeploy.tls.acme.challenges", set()),
        ("regdeploy.tls.acme.directory", {"requests"}),
        ("regdeploy.tls.acme.order", _HEAVY),
    ],
)
def test_a_module_loads_only_what_it_is_for(module: str, loaded: set[str]) -> None:
    code = f"import sys, {module}; print(*({_HEAVY!r} & set(sys.modules)), 'acme.client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *found, client = done.stdout.split()
    assert set(found) == loaded
    assert client == "False"  # it brings pyOpenSSL, for a network that is not used
