"""A list of photos that a person does not want: `bad_files.txt`.

One path a line, relative to the source; lines that start with # are remarks.
`mamc check` writes it, a person edits it, and everything that opens the
source honours it when it lies in the source's own folder.
"""

import os
from pathlib import Path

from mamc_keras.data.checking.findings import KINDS
from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.findings import by_kind
from mamc_keras.data.checking.findings import listed
from mamc_keras.data.formats.file_lists import is_list
from mamc_keras.files import atomic_path

NAME = "bad_files.txt"


def source_folder(source, splits):
    """Finds the folder that paths in a list of bad files start from.

    Args:
        source: str or Path. What `open_source` was given.
        splits: dict of split name to `ImageSet`, what it gave.

    Returns:
        `Path` of the folder, of the list's folder, or for a source that is
        no path the deepest folder that holds all photos.
    """
    place = Path(source).expanduser()
    if is_list(place):
        return place.resolve().parent  # Lists resolve their photos as well.
    if place.is_dir():
        return place
    paths = [path for images in splits.values() for path in images.paths]
    return Path(os.path.commonpath([os.path.dirname(p) for p in paths]))


def relative(path, folder):
    """Gives a photo's path as a list of bad files names it."""
    # A list's photos are found from its resolved folder.
    if not os.path.abspath(path).startswith(os.path.abspath(folder) + os.sep):
        folder = os.path.realpath(folder)
    return os.path.relpath(path, folder)


def leave_out(splits, source, exclude=""):
    """Takes the photos that a list of bad files names out of all splits.

    Args:
        splits: dict of split name to `ImageSet`.
        source: str or Path. What `open_source` was given; `None` leaves
            out nothing.
        exclude: str or Path of a list; the source's own by default.

    Returns:
        `(splits, problems)`: dict of `ImageSet`, list of `Problem`, one for
        each photo left out and one for all lines that name no photo.

    Raises:
        ValueError: when `exclude` names no file.
    """
    if source is None:
        return splits, []
    folder = source_folder(source, splits)
    file = Path(exclude).expanduser() if exclude else folder / NAME
    if not file.is_file():
        if exclude:
            raise ValueError(
                f"There is no such list of bad files. Received: '{exclude}'. "
                "Check the path."
            )
        return splits, []
    paths = {
        os.path.normpath(relative(path, folder)): path
        for images in splits.values()
        for path in images.paths
    }
    bad, unknown = {}, []
    for number, line in _lines(_text(file)):
        path = _find(line, paths, folder)
        if path is None:
            unknown.append(f"'{line.strip()}' (line {number})")
        else:
            bad[path] = Problem(path, "excluded", f"is named in '{file}'")
    problems = list(bad.values())
    if unknown:
        message = (
            f"'{file}' names what is no photo of this source: "
            f"{listed(unknown, 5)}. Correct or remove these lines."
        )
        problems.append(Problem("", "not found", message))
    kept = {
        name: images.take([p not in bad for p in images.paths])
        if bad
        else images
        for name, images in splits.items()
    }
    return kept, problems


def add_bad_files(file, problems, folder):
    """Writes the files that were left out, each kind under a remark.

    What is in the file already is kept, since a person may have edited it.

    Args:
        file: `Path` to write.
        problems: sequence of `Problem`.
        folder: `Path`, from `source_folder`.
    """
    text = _text(file) if file.is_file() else _HEAD
    known = {line.strip() for _, line in _lines(text)}
    for kind, found in by_kind(p for p in problems if p.left_out).items():
        names = [_as_line(relative(p.path, folder)) for p in found]
        new = [name for name in names if name not in known]
        if new:
            text += "\n".join(["", f"# {KINDS[kind].title}", *new, ""])
    with atomic_path(file) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


_HEAD = f"""\
# Photos that mamc check leaves out, one path a line. Add what you want to be
# left out as well, and remove what should stay. Put this file into the folder
# of the photos as {NAME}, or name it with --exclude.
"""


def _as_line(name):
    return f"./{name}" if name.startswith("#") else name


def _text(file):
    # Names of files need not be UTF-8.
    return file.read_bytes().decode("utf-8-sig", "surrogateescape")


def _lines(text):
    """Yields (number, line) without remarks."""
    # Not splitlines: a name may hold what Unicode takes for a line's end.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.rstrip("\r")


def _find(line, paths, folder):
    """The photo that a line names, with or without spaces and a remark."""
    for text in (line, line.strip(), line.split(" #")[0].strip()):
        name = os.path.normpath(relative(os.path.join(folder, text), folder))
        if name in paths:
            return paths[name]
    return None
