"""config.yml as text: the rig's tests prove what the registry makes of it."""

from __future__ import annotations

import subprocess
import sys

from regdeploy.registry.config import DRAIN_SECONDS, render_config

PLAIN = """\
# The registry's configuration. regdeploy writes this file anew whenever it differs from what the deployment calls for.
# The container's environment (REGISTRY_*) comes on top: address, certificate, login and the upload secret.
version: 0.1
log:
  level: info
  fields:
    service: registry
storage:
  # No blob descriptor cache: one in memory still knows blobs that a garbage collection has removed.
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
  maintenance:
    uploadpurging:
      enabled: true
      age: 168h
      interval: 24h
      dryrun: false
    readonly:
      enabled: false
http:
  # A push under way may end before the registry stops; the container's stop timeout is longer.
  draintimeout: 30s
  headers:
    X-Content-Type-Options: [nosniff]
  # Plain HTTP: there is no certificate.
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


def test_plain_http_is_written_out_in_full() -> None:
    assert render_config(tls=False) == PLAIN


def test_with_tls_nothing_below_1_2_is_spoken() -> None:
    expected = PLAIN.replace("  # Plain HTTP: there is no certificate.\n", "  tls:\n    minimumtls: tls1.2\n")
    assert render_config(tls=True) == expected != PLAIN


def test_every_argument_has_its_place() -> None:
    text = render_config(tls=False, delete=False, read_only=True, drain_seconds=7)
    assert "  delete:\n    enabled: false\n" in text
    assert "    readonly:\n      enabled: true\n" in text
    assert "  draintimeout: 7s\n" in text
    assert DRAIN_SECONDS == 30


def test_another_driver_has_its_parameters_from_elsewhere() -> None:
    expected = PLAIN.replace(
        "  filesystem:\n    rootdirectory: /var/lib/registry\n",
        "  # Its parameters, which may be secret, come from the environment.\n  s3: {}\n",
    )
    assert render_config(tls=False, driver="s3") == expected != PLAIN


def test_rendering_it_loads_no_template_engine() -> None:
    code = "import sys; from regdeploy.registry.config import render_config; render_config(tls=True); "
    subprocess.run([sys.executable, "-c", code + "sys.exit('jinja2' in sys.modules)"], check=True)
