"""The tables of docs/search.md."""

from markdown import rows
from markdown import table


def search_speed():
    """Time and share of the true neighbours, by number of photos."""
    measured = rows("results/search_speed.csv")
    measured.sort(key=lambda row: (int(row["photos"]), row["way"]))
    return table(
        ("photos", "", "time", "found, %"),
        [
            [
                f"{int(row['photos']):,}",
                row["way"],
                f"{float(row['relative']):.3f}",
                f"{100 * float(row['found']):.1f}",
            ]
            for row in measured
        ],
    )


def search_recall():
    """Recall@1 and R-precision, exact and as stored."""
    return table(
        ("set", "photos", "", "recall@1 %", "R-precision %"),
        [
            [
                row["set"],
                row["photos"],
                row["way"],
                f"{100 * float(row['recall@1']):.1f}",
                f"{100 * float(row['r_precision']):.1f}",
            ]
            for row in rows("results/search_recall.csv")
        ],
    )
