"""Files that are either whole or not there at all."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`, renamed to it on success.

    A killed process or a full disk leaves the old file as it was and never a
    half-written new one. Works for files and for folders.

    Args:
        path: str or Path. The final path. Its parent is created.

    Returns:
        A context manager yielding a `Path` that does not exist yet.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        # The suffix is kept: several writers choose the format by it.
        temporary = holder / path.name
        yield temporary
        if path.is_dir() and not path.is_symlink():
            os.replace(path, holder / ".old")
        os.replace(temporary, path)
    finally:
        _discard(holder, path)


def _discard(holder, path):
    """Removes a temporary folder, but for the only copy of `path`."""
    old = holder / ".old"
    if old.exists() and not path.exists():
        os.replace(old, path)
    shutil.rmtree(holder, ignore_errors=True)


def recover(folder):
    """Tidies up after a process that was killed while it wrote into a folder.

    A folder in it cannot be replaced in one step; when the old one had been
    moved away already, it is moved back.

    Args:
        folder: str or Path that nobody writes into now.
    """
    for holder in Path(folder).glob(".*.????????"):
        _discard(holder, holder.parent / holder.name[1:-9])


def write_text(path, text):
    """Writes `text` to `path` in one step.

    Args:
        path: str or Path.
        text: str.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Writes `value` as indented JSON to `path` in one step.

    Args:
        path: str or Path.
        value: anything `json` can write.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
