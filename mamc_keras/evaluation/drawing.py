"""What every picture needs: readable names, and a file that is whole."""

import re
import textwrap
import warnings

from mamc_keras.files import atomic_path

LONGEST = 48  # characters of a name


def readable_name(name):
    """Makes a folder's name a title: `001.Black_Bird` is `Black Bird`.

    A name that is too long for a picture is cut.

    Args:
        name: str.

    Returns:
        str.
    """
    shorter = re.sub(r"^\d+[._ -]+(?=\S)", "", name)
    shorter = shorter.replace("_", " ").strip() or name
    return shorter if len(shorter) <= LONGEST else shorter[:LONGEST] + "…"


def wrapped(name, width=28):
    """A readable name in lines that fit under a photo.

    Args:
        name: str.
        width: int, characters.

    Returns:
        str.
    """
    return "\n".join(textwrap.wrap(readable_name(name), width))


def show(axis, picture, text="", colour="black", frame=None):
    """Draws a photo without ticks, and a text under it.

    Args:
        axis: matplotlib axis.
        picture: array `(height, width, 3)`, or `None` for an empty place.
        text: str.
        colour: str, of the text.
        frame: str, colour of a thick frame, or `None`.
    """
    if picture is None:
        axis.axis("off")
        return
    axis.imshow(picture)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(text, parse_math=False, fontsize=8, color=colour)
    if frame:
        for spine in axis.spines.values():
            spine.set(color=frame, linewidth=3)


def save(figure, path_out):
    """Writes a figure as a PNG in one step.

    Args:
        figure: `Figure`.
        path_out: str or Path.
    """
    with atomic_path(path_out) as temporary, warnings.catch_warnings():
        # Names in a script that the font lacks become boxes, not warnings.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
