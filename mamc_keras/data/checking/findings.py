"""What can be wrong with a data set: every kind of finding, in one table."""

import dataclasses
from collections import defaultdict


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way in which a photo, a class or a set can be wrong.

    Args:
        title: str. A heading for a person.
        advice: str. What it means and what to do.
        left_out: bool. Whether such a file is kept out of training.
        serious: bool. Whether results cannot be trusted before somebody has
            looked; these give `mamc check` the exit code 1.
    """

    title: str
    advice: str
    left_out: bool = False
    serious: bool = False


def _unusable(title, advice):
    return Kind(title, advice, left_out=True, serious=True)


def _wrong(title, advice):
    return Kind(title, advice, serious=True)


# Every kind of finding, in the order of reports: first what cannot be used,
# then what makes results wrong, then what is only worth knowing.
KINDS = {
    "missing": _unusable("Cannot be read", "Check rights and links."),
    "empty": _unusable("Empty", "Copy these files again."),
    "not an image": _unusable(
        "Not an image", "Often a saved error page: get the photo again."
    ),
    "unsupported": _unusable(
        "In a format that cannot be decoded", "Convert to JPEG or PNG."
    ),
    "cut off": _unusable(
        "Cut off before its end", "A copy that was interrupted: copy again."
    ),
    "damaged": _unusable("Damaged", "Restore these files from the original."),
    "too small": _unusable("Too small", "Get the photo in a larger size."),
    "too large": _unusable(
        "Too large to be decoded", "Shrink or cut these pictures."
    ),
    "leak": _wrong(
        "Also in another split",
        "Trained on and tested on: accuracy comes out too high. Remove one, or "
        "divide anew with mamc split.",
    ),
    "conflict": _wrong(
        "Also in another class", "One of the two labels is wrong."
    ),
    "name collision": _wrong(
        "Class names that are the same to a person",
        "They are trained as different classes. Merge or rename the folders.",
    ),
    "near leak": _wrong(
        "Looks like a photo of another split",
        "Nearly trained on and tested on. If it is one scene, remove one.",
    ),
    "near conflict": _wrong(
        "Looks like a photo of another class",
        "If it is one scene, one of the two labels is wrong.",
    ),
    "not found": _wrong(
        "Named in a list of bad files, but not there",
        "The photo that was meant is still used. Correct or remove the line.",
    ),
    "label": Kind(
        "Perhaps in the wrong class",
        "A guess of a model, the surest first: look, then move the photo.",
    ),
    "excluded": Kind(
        "Named in a list of bad files", "As you asked.", left_out=True
    ),
    "duplicate": Kind("Twice in a class", "Counts twice in training."),
    "near duplicate": Kind(
        "Looks like another photo of its class", "One scene counts twice."
    ),
    "alike": Kind("Many photos look alike", "Split by scene, not by photo."),
    "suffix": Kind("Suffix does not fit the format", "Read as what it is."),
    "cmyk": Kind("CMYK colours, converted to RGB", "Colours may shift."),
    "16-bit": Kind(
        "16 bits a colour, cut to 8", "Dark details may be lost: look."
    ),
    "colours": Kind("Converted to 8-bit RGB", "Grey, or transparency dropped."),
    "orientation": Kind(
        "Taken sideways, turned upright", "The file itself is not changed."
    ),
    "animation": Kind(
        "Animation, only the first picture counts", "Save the one that counts."
    ),
    "huge": Kind("Very large", "Slow to read: shrink once, train faster."),
    "lone image": Kind("Classes of one photo", "Add photos."),
    "imbalance": Kind("Uneven classes", "Add photos to the small ones."),
    "absent class": Kind("Classes without photos", "Add photos, or remove."),
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One finding about one file, or about a class when `path` is empty.

    Args:
        path: str.
        kind: str, one of `KINDS`.
        message: str. A sentence for a person.
        twin: str. The path of the other copy of a file that exists twice.
    """

    path: str
    kind: str
    message: str
    twin: str = ""

    @property
    def left_out(self):
        """Whether the file is kept out of training."""
        return KINDS[self.kind].left_out

    @property
    def serious(self):
        """Whether results cannot be trusted before somebody has looked."""
        return KINDS[self.kind].serious


def by_kind(problems):
    """Groups findings.

    Args:
        problems: sequence of `Problem`.

    Returns:
        dict of kind to list of `Problem`, in the order of `KINDS`, without
        the kinds that were not found.
    """
    groups = defaultdict(list)
    for problem in problems:
        groups[problem.kind].append(problem)
    return {kind: groups[kind] for kind in KINDS if kind in groups}


def listed(names, limit=3):
    """Names the first few: `"a, b, c and 4 more"`."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
