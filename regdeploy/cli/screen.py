"""What a person sees while work is done: a line for each thing that takes time, as it happens.

On a terminal a bar shows what is under way; elsewhere there are plain lines only, and nothing is overwritten.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self, TextIO

from regdeploy.deployment.checks import Check, Verdict
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.reporting import Event
from regdeploy.deployment.steps import (
    WORDS,
    CopyData,
    FetchImage,
    IssueCertificate,
    ListImages,
    Step,
    VerifyImages,
    VerifyServing,
)
from regdeploy.errors import NeedsConfirmation

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LABELS: dict[type[Step], str] = {
    FetchImage: "image",
    IssueCertificate: "certificate",
    CopyData: "images",
    ListImages: "images",
    VerifyImages: "verified",
    VerifyServing: "container",
}


class Screen:
    """Reports the work; implements :class:`regdeploy.deployment.reporting.Reporter`. Use it as a context manager.

    With ``as_json`` everything goes to stderr, since stdout is for the document alone.
    """

    def __init__(self, title: str, *, as_json: bool, verbose: bool, no_color: bool, yes: bool) -> None:
        self._title = title
        self._out: TextIO = sys.stderr if as_json else sys.stdout
        self._verbose = verbose
        self._colour = not no_color and not os.environ.get("NO_COLOR")
        self._yes = yes
        self._terminal = self._out.isatty()
        self._titled = False
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[Step, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_progress()

    def line(self, text: str) -> None:
        """Print one line above whatever is under way."""
        with self._lock:
            self._title_first()
            self._print(text)

    def labelled(self, label: str, text: str, aside: str = "") -> None:
        """Print ``label  text``, with ``aside`` at the right where there is room."""
        line = f"  {label:<12} {text}"
        self.line(f"{line:<78}  {aside}" if aside else line)

    def checked(self, checks: Sequence[Check]) -> None:
        """See :class:`Reporter`: the good ones on one line, what is to be known on lines of its own."""
        good = [check.message for check in checks if check.verdict is Verdict.OK]
        if good:
            self.labelled("checks", " · ".join(good))
        for check in checks:
            if check.verdict is Verdict.WARNING:
                self.labelled("warning", f"{check.item}: {check.message}" + (f" ({check.hint})" if check.hint else ""))

    def event(self, event: Event) -> None:
        """See :class:`Reporter`."""
        label = _LABELS.get(type(event.step), WORDS[type(event.step)][1] if self._verbose else "")
        if event.phase == "done":
            self._finish(event.step)
            if label:
                self.labelled(label, event.words or "done", f"{event.seconds:.1f} s")
        elif self._terminal and type(event.step) in _LABELS:
            self._show(event, label)
        elif self._verbose and event.words and not event.total_bytes:
            self.labelled(label, event.words)

    def confirm(self, plan: Plan, question: str) -> None:
        """See :class:`Reporter`."""
        if self._yes:
            return
        self.line(plan.text())
        self.ask(question, wanted="y")

    def ask(self, question: str, *, wanted: str) -> None:
        """Go on when ``wanted`` is typed (``y`` stands for yes). Raises NeedsConfirmation otherwise."""
        if not sys.stdin.isatty():
            raise NeedsConfirmation("", f"{question} There is no terminal to ask", "--yes says yes")
        prompt = f"{question} [y/N] " if wanted == "y" else f"{question} "
        print(prompt, end="", file=self._out, flush=True)
        answer = sys.stdin.readline().strip()
        if answer.lower() not in ("y", "yes") if wanted == "y" else answer != wanted:
            raise NeedsConfirmation("", "the answer was not yes: nothing was touched")

    def _title_first(self) -> None:
        if not self._titled:
            self._titled = True
            self._print(self._title)

    def _print(self, text: str) -> None:
        if self._progress is not None:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._out, flush=True)

    def _show(self, event: Event, label: str) -> None:
        with self._lock:
            self._title_first()
            progress = self._progress or self._start_progress()
            if event.step not in self._tasks:
                self._tasks[event.step] = progress.add_task(label, total=None, words="")
            progress.update(
                self._tasks[event.step],
                completed=event.done_bytes,
                total=event.total_bytes or None,
                words=event.words,
            )

    def _finish(self, step: Step) -> None:
        with self._lock:
            task = self._tasks.pop(step, None)
            if task is not None and self._progress is not None:
                self._progress.remove_task(task)
            if not self._tasks:
                self._stop_progress()

    def _start_progress(self) -> Progress:
        from rich.console import Console  # noqa: PLC0415 - 74 ms, only on a terminal
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        console = Console(file=self._out, no_color=not self._colour, highlight=False)
        self._progress = Progress(
            TextColumn("  {task.description:<12}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}"),
            console=console,
            transient=True,
        )
        self._progress.start()
        return self._progress

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def document(value: object) -> None:
    """Print the one JSON document of a command."""
    import json  # noqa: PLC0415 - only for those who want it

    print(json.dumps(value, ensure_ascii=False, indent=2))


def columns(rows: Sequence[tuple[str, str]], out: Callable[[str], None] = print) -> None:
    """Print label and text in two columns."""
    for label, text in rows:
        out(f"  {label:<12} {text}")
