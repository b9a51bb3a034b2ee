"""How many photos each class has, as a chart of plain HTML."""

from html import escape

MOST_BARS = 60  # classes; of more, the largest and the smallest
_COLOURS = {"train": "#4878a8", "val": "#e0a030", "test": "#7a9a50"}


def class_chart(splits):
    """Draws one bar a class, the largest first, in the colours of the splits.

    Args:
        splits: dict of split name to `ImageSet`.

    Returns:
        str, HTML; empty without photos.
    """
    counts = {
        name: images.class_counts().tolist()
        for name, images in splits.items()
        if len(images)
    }
    if not counts:
        return ""
    names = next(iter(splits.values())).class_names
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    order = sorted(range(len(names)), key=lambda i: (-totals[i], i))
    half = MOST_BARS // 2
    rows, scale = [], 100 / max(1, *totals)
    for place, i in enumerate(order):
        if len(order) > MOST_BARS and half <= place < len(order) - half:
            if place == half:
                between = len(order) - 2 * half
                text = f"{between:,} more in between"
                rows.append(f"<tr><td></td><td>{text}</td></tr>")
            continue
        bars = "".join(
            f'<span style="width:{column[i] * scale:.2f}%;'
            f'background:{_COLOURS.get(name, "#888")}"></span>'
            for name, column in counts.items()
        )
        rows.append(
            f"<tr><td>{escape(names[i])}</td>"
            f'<td class="bars">{bars}</td><td>{totals[i]:,}</td></tr>'
        )
    key = ", ".join(
        f'<b style="color:{_COLOURS.get(name, "#888")}">{escape(name)}</b>'
        for name in counts
    )
    return (
        f"<h2>Size of the classes</h2><p>{key}</p>"
        f'<table class="chart">{"".join(rows)}</table>'
    )
