"""The one handler that prints errors: where, what, hint; or one JSON document. No traceback without --verbose."""

from __future__ import annotations

import sys
from collections.abc import Callable

from regdeploy.errors import RegdeployError

INTERRUPTED = 130


def guarded(work: Callable[[], int | None], *, as_json: bool, verbose: bool) -> int:
    """Run ``work`` and return its exit status; whatever goes wrong is printed and becomes one."""
    try:
        return work() or 0
    except RegdeployError as error:
        if verbose:
            _traceback()
        for line in getattr(error, "log", ()):
            print(f"  | {line}", file=sys.stderr)
        tell(error.code, str(error), error.hint, as_json=as_json)
        return error.exit_status
    except (KeyboardInterrupt, EOFError):  # the second: Ctrl-D at a question
        tell("interrupted", "interrupted", "`regdeploy up` goes on from what is there", as_json=as_json)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a defect of ours: said in a line, and in full with --verbose
        if verbose:
            _traceback()
        what = f"a defect in regdeploy: {type(error).__name__}: {error}"
        tell("defect", what, "run it again with --verbose and report what it prints", as_json=as_json)
        return 1


def tell(code: str, message: str, hint: str, *, as_json: bool) -> None:
    """Print one error the way the user asked for."""
    if as_json:
        import json  # noqa: PLC0415 - only for those who want it

        print(json.dumps({"error": {"code": code, "message": message, "hint": hint}}, ensure_ascii=False))
        return
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


def _traceback() -> None:
    import traceback  # noqa: PLC0415 - only with --verbose

    traceback.print_exc()
