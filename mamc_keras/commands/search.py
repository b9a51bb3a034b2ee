"""Commands that look for similar photos: index, search.

TensorFlow is imported by the commands themselves, so that help is quick.
"""

from pathlib import Path

from rich.table import Column
from rich.table import Table
from rich.text import Text

from mamc_keras.commands.console import Argument
from mamc_keras.commands.console import console
from mamc_keras.commands.console import written
from mamc_keras.progress import bars


def index(
    preset: Argument[str], folder: Argument[Path], out: Path = Path("index")
):
    """Embeds every photo of a folder, so that it can be searched.

    A command that was stopped goes on when it is given again.

    Example: mamc index runs/first photos/ --out index

    Args:
        preset: run folder, preset folder, or a handle such as hf://USER/NAME.
        folder: photos, in folders of any depth.
        out: new folder for the index.
    """
    from mamc_keras.search import build_index
    from mamc_keras.search.index import SKIPPED_FILE

    with bars(console) as progress:
        made = build_index(preset, folder, out, progress)
    skipped = made.settings["skipped"]
    console.print(f"{len(made):,} photos, {skipped:,} could not be read")
    if skipped:
        console.print(f"see {out / SKIPPED_FILE}", markup=False)
    written(*sorted(out.iterdir()))


def search(
    index: Argument[Path],
    photo: Argument[Path],
    top: int = 10,
    branch: int | None = None,
    exact: bool = False,
    preset: str | None = None,
    out: Path = Path("search.png"),
):
    """Finds the photos that look most like one.

    Example: mamc search index photo.jpg --top 10

    Args:
        index: what mamc index wrote.
        photo: image file.
        top: how many to find.
        branch: attention branch to compare, from 0; all by default.
        exact: compare with every photo of a very large index.
        preset: the preset, when it no longer lies where it was.
        out: the PNG to write.
    """
    from mamc_keras.search import search as run_search

    found = run_search(index, photo, top, branch, exact, preset, out)
    table = Table("", "cosine", Column("photo", overflow="fold"))
    for place, (path, cosine) in enumerate(found, start=1):
        table.add_row(str(place), f"{cosine:.3f}", Text(path))
    console.print(table)
    written(out)
