"""What is wrong with a data set, said before training starts."""

import dataclasses

from mamc_keras.data.checking.bad_files import leave_out
from mamc_keras.data.checking.class_findings import absent_classes
from mamc_keras.data.checking.class_findings import class_sizes
from mamc_keras.data.checking.class_findings import name_collisions
from mamc_keras.data.checking.copies import copies_across
from mamc_keras.data.checking.copies import copies_within
from mamc_keras.data.checking.copies import look_alikes
from mamc_keras.data.checking.findings import KINDS
from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.inspection import inspect_file
from mamc_keras.data.checking.reports import CheckReport
from mamc_keras.data.checking.reports import SourceReport
from mamc_keras.data.threads import map_files

__all__ = [
    "KINDS",
    "CheckReport",
    "Problem",
    "SourceReport",
    "check_images",
    "check_source",
]


def check_images(images, progress=None):
    """Decodes every image as training does, and looks for copies.

    Files that cannot be decoded or are too small are left out of `.clean`;
    all other findings are only reported.

    Args:
        images: `ImageSet`.
        progress: callable `(num_done, num_images)`, called after each image.

    Returns:
        A `CheckReport`.
    """
    report, digests, looks = _check(images, progress, 0, len(images))
    problems = (
        *report.problems,
        *look_alikes({"": images}, {"": digests}, {"": looks}),
        *name_collisions(images.class_names),
        *class_sizes(report.clean),
        *absent_classes({"The set": report}),
    )
    return dataclasses.replace(report, problems=problems)


def check_source(splits, progress=None, source=None, exclude=""):
    """Checks all splits of a data set, and for photos in two of them.

    Args:
        splits: dict of split name to `ImageSet`, from `open_source`.
        progress: callable `(num_done, num_images)`, called after each image.
        source: str or Path. What `open_source` was given. The photos that a
            `bad_files.txt` in it names are left out.
        exclude: str or Path. A list of bad files in place of that one.

    Returns:
        A `SourceReport`.

    Raises:
        ValueError: when `exclude` names no file.
    """
    splits, problems = leave_out(splits, source, exclude)
    total = sum(len(images) for images in splits.values())
    done, reports, digests, looks = 0, {}, {}, {}
    for name, images in splits.items():
        reports[name], digests[name], looks[name] = _check(
            images, progress, done, total
        )
        done += len(images)
    problems += copies_across(splits, digests)
    problems += look_alikes(splits, digests, looks)
    for images in list(splits.values())[:1]:  # All have the same classes.
        problems += name_collisions(images.class_names)
    if "train" in reports:
        problems += class_sizes(reports["train"].clean)
    problems += absent_classes(reports)
    return SourceReport(reports, tuple(problems))


def _check(images, progress, done, total):
    """Returns the report, digests and fingerprints; `None` for bad files."""
    problems, digests, looks, good = [], [], [], []
    step = progress and (lambda count, _: progress(done + count, total))
    for found, digest, look in map_files(inspect_file, images.paths, step):
        problems += found
        usable = not any(problem.left_out for problem in found)
        if usable:
            good.append(len(digests))
        digests.append(digest if usable else None)
        looks.append(look)
    problems += copies_within(images, digests)
    report = CheckReport(tuple(problems), images.take(good), len(images))
    return report, digests, looks
