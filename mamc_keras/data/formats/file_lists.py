"""Photos named in a list: a CSV, or text lines of a path and a label.

Dogs-in-the-Wild and many sets of one's own come like this: the photos lie
anywhere, and `annotation/train.txt`, `annotation/test.txt` or one CSV say
which class each shows.
"""

import csv
from pathlib import Path

LIST_SUFFIXES = (".csv", ".txt")
_SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_PATH_COLUMNS = ("path", "file", "filename", "image")
_LABEL_COLUMNS = ("label", "class", "class_name")


def is_list(source):
    """Tells a list from a folder: a file that ends in .csv or .txt."""
    path = Path(source).expanduser()
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def find_lists(root):
    """Finds the lists of a folder: `train.txt`, `annotation/train.csv`...

    Args:
        root: Path of a folder.

    Returns:
        dict of split name to Path, empty without a list for training.
    """
    for folder in (root, root / "annotation", root / "annotations"):
        found = {}
        for name, split in _SPLITS.items():
            for suffix in LIST_SUFFIXES:
                file = folder / (name + suffix)
                if file.is_file():
                    found.setdefault(split, file)
        if "train" in found:
            return found
    return {}


def read_lists(source):
    """Reads one list, or the lists of the splits of a folder.

    Args:
        source: Path of a list, or what `find_lists` gave.

    Returns:
        dict of split name to a dict of class name to list of paths;
        `{"all": ...}` for a list without splits.

    Raises:
        ValueError: on a line without path or label, a split of another name,
            or photos that are nowhere.
    """
    if not isinstance(source, dict):
        splits = _grouped(source, _rows(source))
        if not splits.keys() & {"train", "all"}:
            raise ValueError(
                f"The list has no training photos. Received: '{source}' with "
                f"the splits {sorted(splits)}. Add lines with split 'train'."
            )
        return splits
    splits = {}
    for split, file in source.items():
        rows = [(path, label, split) for path, label, _ in _rows(file)]
        if not rows and split != "train" and file.suffix.lower() == ".csv":
            splits[split] = {}  # Columns and no lines: a split on purpose.
        else:
            splits.update(_grouped(file, rows))
    return splits


def read_groups(source):
    """Reads which photos a CSV says belong together, in its column `group`.

    Args:
        source: what `read_lists` takes.

    Returns:
        dict of path, as `read_lists` gives it, to str, the group. Photos
        without a group are not in it, nor are those of other lists.
    """
    groups = {}
    for file in source.values() if isinstance(source, dict) else [source]:
        if file.suffix.lower() != ".csv":
            continue
        reader = csv.DictReader(_text(file).splitlines())
        names = _columns(reader)
        if "group" not in names:
            continue
        path = next(names[n] for n in _PATH_COLUMNS if n in names)
        rows = [
            (row[path].strip(), (row[names["group"]] or "").strip())
            for row in reader
        ]
        base = _base(file, rows[0][0]) if rows else None
        groups |= {str(base / name): group for name, group in rows if group}
    return groups


def _columns(reader):
    return {name.strip().lower(): name for name in reader.fieldnames or ()}


def _rows(file):
    """Yields `(path, label, split)` as the list has them."""
    lines = _text(file).splitlines()
    if file.suffix.lower() == ".csv":
        return _csv_rows(file, lines)
    return _text_rows(file, lines)


def _text(file):
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The list is no UTF-8 text. Received: '{file}' ({error}). Save "
            "it as UTF-8."
        ) from error


def _csv_rows(file, lines):
    reader = csv.DictReader(lines)
    names = _columns(reader)
    path = next((names[n] for n in _PATH_COLUMNS if n in names), None)
    label = next((names[n] for n in _LABEL_COLUMNS if n in names), None)
    if path is None or label is None:
        raise ValueError(
            "The first line of a CSV names its columns: path, label and, if "
            f"there are splits, split. Received: {reader.fieldnames} in "
            f"'{file}'."
        )
    split = names.get("split")
    rows = []
    for row in reader:
        rows.append((row[path], row[label], row[split] if split else "all"))
        _complete(file, reader.line_num, rows[-1])
    return rows


def _text_rows(file, lines):
    """The label is the last word of a line; paths may hold spaces."""
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        tab = "\t" if "\t" in line else None
        parts = line.strip().rsplit(tab, 1)
        rows.append((*parts, "all") if len(parts) == 2 else ("", "", ""))
        _complete(file, number, rows[-1])
    return rows


def _complete(file, number, row):
    path, label, split = ((value or "").strip() for value in row)
    if not path or not label:
        raise ValueError(
            "Every line of a list has a path and a label. Received: line "
            f"{number} of '{file}'. Complete or remove it."
        )
    if split.lower() not in (*_SPLITS, "all"):
        raise ValueError(
            "A split is train, val or test. Received: "
            f"'{split}' in line {number} of '{file}'."
        )


def _grouped(file, rows):
    rows = [tuple(value.strip() for value in row) for row in rows]
    if not rows:
        raise ValueError(f"The list names no photos. Received: '{file}'.")
    base = _base(file, rows[0][0])
    splits = {}
    for path, label, split in rows:
        name = _SPLITS.get(split.lower(), "all")
        classes = splits.setdefault(name, {})
        classes.setdefault(label, []).append(str(base / path))
    return splits


def _base(file, first):
    """Folder that the paths of a list start from."""
    folder = file.resolve().parent
    places = (
        folder,
        folder.parent,
        folder / "images",
        folder.parent / "images",
    )
    for place in places:
        if (place / first).is_file():
            return place
    raise ValueError(
        f"The photos of a list are not where it says. Received: '{first}' in "
        f"'{file}', found in none of {', '.join(map(str, places))}. Give "
        "paths that start from the list's own folder, or absolute ones."
    )
