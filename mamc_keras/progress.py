"""Progress bars for the long steps that are not `fit`."""

import contextlib

from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TextColumn
from rich.progress import TimeRemainingColumn


@contextlib.contextmanager
def bars(console):
    """Shows one bar for each step that reports its progress.

    Args:
        console: `rich.console.Console`.

    Returns:
        A context manager yielding a callable `(what, done, total)`.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    tasks = {}

    def report(what, done, total):
        if what not in tasks:
            progress.start()
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done, total=total)
        if progress.finished:
            progress.stop()  # fit draws its own bar from here on.

    try:
        yield report
    finally:
        progress.stop()
