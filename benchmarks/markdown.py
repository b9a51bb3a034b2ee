"""Rows of the benchmarks' CSV files as Markdown tables."""

import csv
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def rows(name):
    with (HERE / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def table(header, lines):
    rule = "|".join("---" for _ in header)
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"| {' | '.join(header)} |\n|{rule}|\n{body}"


def spread(values, digits):
    values = np.array(values, float)
    if np.isnan(values).all():
        return "-"
    text = f"{values.mean():.{digits}f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1):.{digits}f}"
    return text


def grouped(table_rows, *columns):
    groups = {}
    for row in table_rows:
        groups.setdefault(tuple(row[c] for c in columns), []).append(row)
    return groups
