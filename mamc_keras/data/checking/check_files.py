"""What `mamc check` leaves behind: a page, its numbers, a list of bad files."""

import json
import os
from pathlib import Path

from mamc_keras.data.checking.bad_files import NAME
from mamc_keras.data.checking.bad_files import add_bad_files
from mamc_keras.data.checking.bad_files import relative
from mamc_keras.data.checking.bad_files import source_folder
from mamc_keras.data.checking.check_page import check_page
from mamc_keras.data.checking.findings import by_kind
from mamc_keras.files import write_text

VERSION = 1  # of check.json


def default_folder(source):
    """Chooses a new folder for a report, never among the photos.

    Args:
        source: str. What `open_source` takes.

    Returns:
        `Path` `check-NAME` in the working folder, or beside the source when
        the working folder is inside it.
    """
    if str(source).startswith("tfds:"):
        name = str(source)[len("tfds:") :]
        return Path("check-" + name.replace("/", "-").replace(":", "-"))
    place = Path(source).expanduser().resolve()
    if Path.cwd().is_relative_to(place):
        return place.parent / f"check-{place.name}"
    return Path(f"check-{place.stem if place.is_file() else place.name}")


def write_check(report, source, out):
    """Writes check.html, check.json and bad_files.txt, each in one step.

    Args:
        report: `SourceReport`.
        source: str. What `open_source` was given.
        out: str or Path of a folder.

    Returns:
        list of `Path`, the files.
    """
    out = Path(out).expanduser()
    folder = source_folder(source, report.clean)
    page, numbers, bad = out / "check.html", out / "check.json", out / NAME
    add_bad_files(bad, report.all_problems, folder)
    values = as_json(report, source, folder)
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_text(numbers, _printable(text))
    write_text(page, _printable(check_page(report, str(source), folder)))
    return [page, numbers, bad]


def as_json(report, source, folder):
    """Gives a report as plain values.

    Args:
        report: `SourceReport`.
        source: str.
        folder: `Path` that the paths start from.

    Returns:
        dict that `json` can write.
    """
    problems = [
        {
            "path": relative(problem.path, folder) if problem.path else "",
            "split": split,
            "kind": problem.kind,
            "message": problem.message,
            "left_out": problem.left_out,
            "serious": problem.serious,
            "twin": relative(problem.twin, folder) if problem.twin else "",
        }
        for split, problem in _with_split(report)
    ]
    return {
        "version": VERSION,
        "source": str(source),
        "folder": os.path.abspath(folder),
        "counts": {
            kind: len(found)
            for kind, found in by_kind(report.all_problems).items()
        },
        "splits": {
            name: {
                "checked": part.num_images,
                "usable": len(part.clean),
                "classes": dict(
                    zip(
                        part.clean.class_names,
                        part.clean.class_counts().tolist(),
                        strict=True,
                    )
                ),
            }
            for name, part in report.splits.items()
        },
        "problems": problems,
    }


def _with_split(report):
    split_of = {
        path: name
        for name, images in report.clean.items()
        for path in images.paths
    }
    for name, part in report.splits.items():
        yield from ((name, problem) for problem in part.problems)
    for problem in report.problems:
        yield split_of.get(problem.path, ""), problem


def _printable(text):
    """Spells out what UTF-8 cannot hold, as JSON does: file names may."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
