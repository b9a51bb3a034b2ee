"""The findings of a check as one page that needs nothing else."""

from html import escape

from mamc_keras.data.checking.bad_files import NAME
from mamc_keras.data.checking.bad_files import relative
from mamc_keras.data.checking.class_chart import class_chart
from mamc_keras.data.checking.findings import KINDS
from mamc_keras.data.checking.findings import by_kind
from mamc_keras.data.checking.thumbnails import thumbnail

MOST_SHOWN = 24  # findings of a kind with pictures
MOST_NAMED = 200  # further ones by name


def check_page(report, name, folder):
    """Draws a report.

    Args:
        report: `SourceReport`.
        name: str. What the source is called.
        folder: `Path` that the shown paths start from.

    Returns:
        str, HTML with its style and its pictures inside.
    """
    groups = by_kind(report.all_problems)
    body = [
        f"<h1>mamc check: {escape(name)}</h1>",
        _verdict(groups),
        _splits(report),
        _summary(groups),
        *(_section(kind, found, folder) for kind, found in groups.items()),
        class_chart(report.clean),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f"<title>mamc check: {escape(name)}</title><style>{_STYLE}</style>"
        "</head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _verdict(groups):
    serious = [kind for kind in groups if KINDS[kind].serious]
    if serious:
        count = sum(len(groups[kind]) for kind in serious)
        text = f"{_number(count, 'finding')} to look at before you train."
        return f'<p class="verdict bad">{text}</p>'
    text = "Nothing but notes." if groups else "Nothing wrong was found."
    return f'<p class="verdict good">{text}</p>'


def _splits(report):
    lines = []
    for name, part in report.splits.items():
        if part.num_images:
            classes = int((part.clean.class_counts() > 0).sum())
            lines.append(
                f"<b>{escape(name)}</b>: {_number(part.num_images, 'photo')} "
                f"checked, {len(part.clean):,} can be used, "
                f"{_number(classes, 'class', 'es')}"
            )
    return f"<p>{'<br/>'.join(lines)}</p>"


def _summary(groups):
    rows = []
    for kind, found in groups.items():
        about = KINDS[kind]
        rank = "bad" if about.serious else "note"
        rows.append(
            f'<tr class="{rank}"><td class="number">{len(found):,}</td>'
            f'<td><a href="#{_anchor(kind)}">{escape(about.title)}</a></td>'
            f'<td class="fate">{_fate(found)}</td><td>'
            f"{escape(about.advice)}</td></tr>"
        )
    if not rows:
        return ""
    return (
        f"<table>{''.join(rows)}</table><p>Red is what makes results wrong. "
        "What is kept can be left out as well: add its path to "
        f"{NAME}.</p>"
    )


def _section(kind, found, folder):
    about = KINDS[kind]
    shown = [_card(p, folder) for p in found[:MOST_SHOWN] if p.path]
    texts = [f"<p>{escape(p.message)}</p>" for p in found if not p.path]
    rest = found[MOST_SHOWN:] if shown else []
    names = [_name(p.path, folder) for p in rest[:MOST_NAMED]]
    if len(rest) > MOST_NAMED:
        names.append(f"and {len(rest) - MOST_NAMED:,} more in check.json")
    more = ""
    if rest:
        more = (
            f"<details><summary>{len(rest):,} more</summary><pre>"
            + "\n".join(names)
            + "</pre></details>"
        )
    rank = "bad" if about.serious else "note"
    return (
        f'<h2 id="{_anchor(kind)}" class="{rank}">{escape(about.title)}: '
        f"{len(found):,} <small>{_fate(found)}</small></h2>"
        f"<p>{escape(about.advice)}</p>{''.join(texts[:MOST_SHOWN])}"
        f'<div class="cards">{"".join(shown)}</div>{more}'
    )


def _card(problem, folder):
    paths = [problem.path, problem.twin] if problem.twin else [problem.path]
    figures = []
    for path in paths:
        address = thumbnail(path)
        picture = '<div class="none">no picture</div>'
        if address:
            picture = f'<img src="{address}" alt=""/>'
        figures.append(
            f"<figure>{picture}<figcaption>{_name(path, folder)}"
            "</figcaption></figure>"
        )
    text = ""
    if not problem.twin:  # Two pictures side by side say it all.
        text = f"<p>{escape(problem.message)}</p>"
    return f'<div class="card">{"".join(figures)}{text}</div>'


def _fate(found):
    if not found[0].path:
        return ""
    return "left out" if found[0].left_out else "kept"


def _name(path, folder):
    return escape(relative(path, folder))


def _anchor(kind):
    return kind.replace(" ", "-")


def _number(count, word, plural="s"):
    return f"{count:,} {word}{plural * (count != 1)}"


_STYLE = """
body{font:15px/1.4 sans-serif;margin:24px auto;max-width:1200px;
padding:0 16px;color:#222}
h1{font-size:24px}h2{font-size:18px;margin:32px 0 0;
border-top:1px solid #ddd;padding-top:12px}
h2.bad,.bad .number{color:#b3261e}.number{text-align:right;
font-weight:bold}.bad a{color:#b3261e}.note a{color:#335}
small{font-weight:normal;color:#666}.fate{white-space:nowrap}
.verdict{padding:12px 16px;font-size:18px;border-radius:6px}
.verdict.bad{background:#fbe4e2}.verdict.good{background:#e4f3e2}
td,th{padding:2px 12px 2px 0;text-align:left;vertical-align:top}
.cards{display:flex;flex-wrap:wrap;gap:12px}
.card{border:1px solid #ddd;border-radius:6px;padding:8px;max-width:280px}
.card p{margin:4px 0 0;font-size:13px}
figure{display:inline-block;margin:0 4px;width:130px;vertical-align:top}
figcaption{font-size:11px;overflow-wrap:anywhere;color:#444}
.none{width:128px;height:72px;background:#eee;color:#888;text-align:center;
line-height:72px;font-size:12px}
.chart{width:100%}.chart td{font-size:12px;padding:0 8px 0 0;width:1%;
white-space:nowrap}.chart td.bars{width:80%}
.bars span{display:inline-block;height:10px}
"""
