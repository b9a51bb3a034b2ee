"""Results as CSV files that grow a row at a time, so that a call can resume."""

import csv
import itertools


def read_rows(file):
    """Reads the rows of a CSV, none when it does not exist yet."""
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append_row(file, row):
    """Adds a dict as a row; the first row decides the columns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = not file.exists()
    with file.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def missing(file, **axes):
    """Yields, as dicts, the combinations of values that have no row yet.

    The first axis turns slowest. The file is read anew before each.
    """
    for values in itertools.product(*axes.values()):
        key = dict(zip(axes, values, strict=True))
        if not is_done(file, **key):
            yield key


def is_done(file, /, **key):
    """Tells whether a row has these values already."""
    return any(
        all(row[name] == str(value) for name, value in key.items())
        for row in read_rows(file)
    )
