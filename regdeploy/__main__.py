"""``python -m regdeploy`` and the ``regdeploy`` command."""

from __future__ import annotations

from regdeploy.cli.app import main

if __name__ == "__main__":
    main()
