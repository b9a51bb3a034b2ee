"""What a check found in one set of images, and in all splits of a source."""

import dataclasses

from mamc_keras.data.checking.findings import KINDS
from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.findings import by_kind
from mamc_keras.data.checking.findings import listed
from mamc_keras.data.sources import ImageSet


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

    @property
    def all_problems(self):
        """Tuple of the `Problem`s of the splits and between them."""
        inside = [p for r in self.splits.values() for p in r.problems]
        return (*inside, *self.problems)

    def lines(self):
        """Returns the report as a list of sentences."""
        lines = []
        for name, report in self.splits.items():
            if report.num_images:
                lines += [f"{name}: {line}" for line in report.lines()]
        return [*lines, *_lines(self.problems)]


def _lines(problems):
    """Sums problems up: a line for each kind, the first files named."""
    groups = by_kind(p for p in problems if p.path)
    for kind, found in groups.items():
        fate = "left out" if KINDS[kind].left_out else "kept"
        number = f"{len(found)} file{'s' * (len(found) > 1)}"
        paths = listed([p.path + f" = {p.twin}" * bool(p.twin) for p in found])
        yield f"{KINDS[kind].title} ({fate}), {number}: {paths}"
    yield from (p.message for p in problems if not p.path)
