"""What is wrong with a data set, said before training starts."""

import concurrent.futures
import dataclasses
import os
from collections import defaultdict

import numpy as np

from mamc_keras.data.inspection import Problem
from mamc_keras.data.inspection import inspect_file
from mamc_keras.data.near_duplicates import near_pairs
from mamc_keras.data.sources import ImageSet

# Kinds of findings about files, in the order of reports.
KINDS = {
    "missing": "Cannot be read",
    "empty": "Empty",
    "not an image": "Not an image",
    "unsupported": "In a format that cannot be decoded",
    "damaged": "Damaged or cut off",
    "too small": "Too small",
    "leak": "Also in another split",
    "conflict": "Also in another class",
    "duplicate": "Twice in a class",
    "near leak": "Looks like a photo of another split",
    "near conflict": "Looks like a photo of another class",
    "near duplicate": "Looks like another photo of its class",
    "suffix": "Suffix does not fit the format",
    "colours": "Converted to 8-bit RGB",
    "orientation": "Taken sideways, turned upright",
    "animation": "Animation, only the first picture counts",
}
BLOCK = 512  # files handed to the threads at once
# Photos of one fixed set-up (solar cells: every third) all look alike; three
# sets of free photos hold 0.2 % of such files.
ALIKE_SHARE = 0.05
IMBALANCE = 10  # times as many images in the largest class as in the smallest


@dataclasses.dataclass(frozen=True, eq=False)
class CheckReport:
    """The findings about one set of images.

    Args:
        problems: tuple of `Problem`.
        clean: `ImageSet` without the files that cannot be used.
        num_images: int. Images that were checked.
    """

    problems: tuple[Problem, ...]
    clean: ImageSet
    num_images: int

    def lines(self):
        """Returns the report as a list of sentences."""
        counts = self.clean.class_counts()
        present = counts[counts > 0]
        sizes = sorted(
            {int(present.min()), int(present.max())} if len(present) else {0}
        )
        sizes = " to ".join(map(str, sizes))
        first = (
            f"{self.num_images} images checked, {len(self.clean)} can be used: "
            f"{len(present)} classes of {sizes} images."
        )
        return [first, *_lines(self.problems)]


@dataclasses.dataclass(frozen=True, eq=False)
class SourceReport:
    """The findings about all splits of a data set.

    Args:
        splits: dict of split name to `CheckReport`.
        problems: tuple of `Problem`. What concerns several splits.
    """

    splits: dict[str, CheckReport]
    problems: tuple[Problem, ...]

    @property
    def clean(self):
        """Dict of split name to `ImageSet` without unusable files."""
        return {name: report.clean for name, report in self.splits.items()}

    def lines(self):
        """Returns the report as a list of sentences."""
        lines = []
        for name, report in self.splits.items():
            if report.num_images:
                lines += [f"{name}: {line}" for line in report.lines()]
        return [*lines, *_lines(self.problems)]


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
    report, prints = _check(images, progress, 0, len(images))
    problems = (
        *report.problems,
        *_alike({"": images}, {"": prints}),
        *_class_sizes(report.clean),
        *_absent_classes({"The set": report}),
    )
    return dataclasses.replace(report, problems=problems)


def check_source(splits, progress=None):
    """Checks all splits of a data set, and for photos in two of them.

    Args:
        splits: dict of split name to `ImageSet`, from `open_source`.
        progress: callable `(num_done, num_images)`, called after each image.

    Returns:
        A `SourceReport`.
    """
    total = sum(len(images) for images in splits.values())
    done, reports, problems, seen, prints = 0, {}, [], {}, {}
    for name, images in splits.items():
        reports[name], prints[name] = _check(images, progress, done, total)
        done += len(images)
        for path, (digest, _) in zip(images.paths, prints[name], strict=True):
            other = seen.setdefault(digest, (name, path))
            if digest and other[0] != name:
                message = f"is also in {other[0]}: '{other[1]}'"
                problems.append(Problem(path, "leak", message, twin=other[1]))
    problems += _alike(splits, prints)
    if "train" in reports:
        problems += _class_sizes(reports["train"].clean)
    problems += _absent_classes(reports)
    return SourceReport(reports, tuple(problems))


def _check(images, progress, done, total):
    """Returns the report, and (digest, fingerprint) of the usable files."""
    problems, digests, fingerprints = [], [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        # Block by block, or a million files would all be queued at once and
        # an interrupt would wait for them.
        for start in range(0, len(images), BLOCK):
            block = images.paths[start : start + BLOCK]
            for found, digest, looks in pool.map(inspect_file, block):
                problems += found
                digests.append(digest)
                fingerprints.append(looks)
                if progress:
                    progress(done + len(digests), total)
    bad = {problem.path for problem in problems if problem.left_out}
    good = [i for i, path in enumerate(images.paths) if path not in bad]
    clean = images.take(good)
    problems += _copies(images, digests, good)
    prints = [
        (None, None) if path in bad else (digest, looks)
        for path, digest, looks in zip(
            images.paths, digests, fingerprints, strict=True
        )
    ]
    return CheckReport(tuple(problems), clean, len(images)), prints


def _alike(splits, prints):
    """Reports photos that look the same in files that are not the same."""
    files = [
        (name, path, label, digest, looks)
        for name, images in splits.items()
        for path, label, (digest, looks) in zip(
            images.paths, images.labels, prints[name], strict=True
        )
        if looks is not None
    ]
    # An exact copy is reported already.
    pairs = [
        (i, j)
        for i, j, _ in near_pairs([file[-1] for file in files])
        if files[i][3] != files[j][3]
    ]
    found = {i for pair in pairs for i in pair}
    if len(found) > max(10, ALIKE_SHARE * len(files)):
        first = [f"{files[j][1]} = {files[i][1]}" for i, j in pairs[:3]]
        message = (
            f"{len(found)} of {len(files)} photos look almost like another "
            "one: many near copies, or photos of one fixed set-up. For "
            f"example {_listed(first)}."
        )
        yield Problem("", "alike", message)
        return
    for i, j in pairs:
        split, twin, label, *_ = files[i]
        other_split, path, other_label, *_ = files[j]
        if split != other_split:
            kind, where = "near leak", f" in {split}"
        elif label != other_label:
            kind, where = "near conflict", ""
        else:
            kind, where = "near duplicate", ""
        message = f"looks like '{twin}'{where}"
        yield Problem(path, kind, message, twin=twin)


def _copies(images, digests, indices):
    """Reports files with the same contents as an earlier one."""
    groups = defaultdict(list)
    for i in indices:
        groups[digests[i]].append(i)
    for first, *others in groups.values():
        for i in others:
            same = images.labels[i] == images.labels[first]
            kind = "duplicate" if same else "conflict"
            twin = images.paths[first]
            message = f"has the same contents as '{twin}'"
            yield Problem(images.paths[i], kind, message, twin=twin)


def _class_sizes(images):
    """Reports lone images and very uneven classes."""
    counts = images.class_counts()
    lone = [images.class_names[i] for i in np.flatnonzero(counts == 1)]
    if lone:
        message = (
            "One image is too few to learn a class from and to test it: "
            f"{_listed(lone)}."
        )
        yield Problem("", "lone image", message)
    present = counts[counts > 0]
    if len(present) and present.max() >= IMBALANCE * present.min():
        message = (
            f"The largest class has {present.max()} images and the smallest "
            f"{present.min()}. Rare classes will be recognised less well."
        )
        yield Problem("", "imbalance", message)


def _absent_classes(reports):
    """Reports classes that a split does not cover."""
    for name, report in reports.items():
        counts = report.clean.class_counts()
        absent = [
            report.clean.class_names[i] for i in np.flatnonzero(counts == 0)
        ]
        if not absent or not report.num_images:
            continue
        message = (
            f"{name} has no image of {len(absent)} of {len(counts)} classes: "
            f"{_listed(absent)}."
        )
        yield Problem("", "absent class", message)


def _lines(problems):
    """Sums problems up: a line for each kind, the first files named."""
    by_kind = defaultdict(list)
    for problem in problems:
        by_kind[problem.kind].append(problem)
    for kind, text in KINDS.items():
        found = by_kind[kind]
        if found:
            fate = "left out" if found[0].left_out else "kept"
            number = f"{len(found)} file{'s' * (len(found) > 1)}"
            paths = _listed(
                [p.path + f" = {p.twin}" * bool(p.twin) for p in found]
            )
            yield f"{text} ({fate}), {number}: {paths}"
    yield from (p.message for p in problems if p.kind not in KINDS)


def _listed(names, limit=3):
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
