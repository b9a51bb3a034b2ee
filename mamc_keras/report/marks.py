"""Pieces of HTML, everything that came from outside escaped."""

import re
from html import escape

from mamc_keras.data.checking.thumbnails import thumbnail


def text(value):
    """Escapes a text; what is not valid Unicode is replaced.

    Args:
        value: str.

    Returns:
        str, safe between tags and in quoted attributes.
    """
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def contents(body):
    """Gives the headings of a page anchors, and lists them.

    Args:
        body: str, HTML with `<h2>` headings.

    Returns:
        `(list, body)`: str and str.
    """
    links = []

    def anchored(heading):
        anchor = f"part-{len(links) + 1}"
        links.append(f'<li><a href="#{anchor}">{heading[1]}</a></li>')
        return f'<h2 id="{anchor}">{heading[1]}</h2>'

    body = re.sub("<h2>(.*?)</h2>", anchored, body)
    return f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>', body


def command(words):
    """A command to copy, whose options are never broken after a hyphen.

    Args:
        words: str, as it is typed.

    Returns:
        str.
    """
    parts = [
        f'<span class="option">{text(word)}</span>'
        if word.startswith("-")
        else text(word)
        for word in words.split(" ")
    ]
    return f"<pre>{' '.join(parts)}</pre>"


def table(columns, rows, numbers=(), fold=True):
    """A table that a phone folds into blocks.

    Args:
        columns: sequence of str.
        rows: sequence of sequences of str, escaped here.
        numbers: set of int, columns that are set to the right.
        fold: bool.

    Returns:
        str.
    """
    head = "".join(
        f'<th scope="col"{_number(i, numbers)}>{text(name)}</th>'
        for i, name in enumerate(columns)
    )
    body = []
    for row in rows:
        cells = [f'<th scope="row">{text(row[0])}</th>']
        for i, value in enumerate(row[1:], 1):
            # Nothing to say, nothing to name on a phone.
            named = columns[i] and value != ""
            of = f' data-of="{text(columns[i])}"' if named else ""
            cells.append(f"<td{of}{_number(i, numbers)}>{text(value)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    kind = ' class="fold"' if fold else ""
    top = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return (
        f'<div class="wide"><table{kind}>{top}'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def photo(path, caption):
    """A small photo from a file, or a place that says that it is gone.

    Args:
        path: str.
        caption: str, escaped here.

    Returns:
        str.
    """
    return figure(thumbnail(path), caption)


def figure(address, caption):
    """A picture with a text under it.

    Args:
        address: str, a `data:` address, or `None`.
        caption: str, escaped here.

    Returns:
        str.
    """
    shown = '<div class="none">the photo is not there any more</div>'
    if address:
        shown = f'<img src="{address}" alt="{text(caption)}"/>'
    return f"<figure>{shown}<figcaption>{text(caption)}</figcaption></figure>"


def row(figures, four=False):
    """Pictures beside each other.

    Args:
        figures: sequence of str.
        four: bool. Are they four, two by two on a phone?

    Returns:
        str.
    """
    kind = "row four" if four else "row"
    return f'<div class="{kind}">{"".join(figures)}</div>'


def _number(i, numbers):
    return ' class="n"' if i in numbers else ""
