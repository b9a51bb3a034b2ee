"""A photo in, the most similar photos of an index out, and a picture."""

import math
import os
import textwrap
import warnings

from matplotlib.figure import Figure

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.photo_files import read_pixels
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.evaluate import readable
from mamc_keras.files import atomic_path
from mamc_keras.models.settings import crop_of
from mamc_keras.search.index import Index
from mamc_keras.search.photos import embed_files
from mamc_keras.search.photos import fingerprint

COLUMNS = 6
SIDE = 224  # pixels of a photo in the picture


def search(
    index, photo, top=10, branch=None, exact=False, preset=None, picture=None
):
    """Finds the photos of an index that look most like a photo.

    Args:
        index: str or Path of the index, or an `Index`.
        photo: str or Path.
        top: int. How many to find.
        branch: int, the attention branch to compare; all by default.
        exact: bool. Compare with every photo, also where Faiss would not.
        preset: the preset, when it no longer lies where it was.
        picture: str or Path of a PNG to draw, or `None`.

    Returns:
        list of `(path, cosine)`, the most similar first.

    Raises:
        ValueError: when the photo cannot be read, or the preset is not the
            one that made the index.
    """
    (photo,) = readable([photo])
    if not isinstance(index, Index):
        index = Index(index)
    preset = preset or index.settings["preset"]
    model = load_model(preset)
    if fingerprint(model) != index.settings["fingerprint"]:
        raise ValueError(
            "Photos can only be compared by the model that made the index. "
            f"Received: {str(preset)!r}, which has other weights or pixels. "
            "Give that model with --preset, or run mamc index anew."
        )
    vectors, _, problems = embed_files(model, [photo])
    if problems:
        raise ValueError(
            "This file is no photo that can be used. Received: "
            f"{photo!r}, which {problems[0].message}. Give another photo."
        )
    rows, cosines = index.nearest(vectors, top, branch, exact)
    found = [
        (index.file(row), float(cosine))
        for row, cosine in zip(rows[0], cosines[0], strict=True)
    ]
    if picture is not None:
        draw(picture, photo, found, crop_of(model))
    return found


def draw(path_out, photo, found, crop=True):
    """Draws a photo and those that were found, with names and cosines.

    Args:
        path_out: str or Path of the PNG.
        photo: str.
        found: list of `(path, cosine)`.
        crop: bool. Show the centre of each photo, or all of it squashed.
    """
    columns = min(COLUMNS, 1 + len(found))
    lines = math.ceil((1 + len(found)) / columns)
    figure = Figure(figsize=(1.9 * columns, 2.5 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    shown = [(photo, "looked for"), *((p, f"{c:.3f}") for p, c in found)]
    for axis in axes:
        axis.set_axis_off()
    for axis, (path, note) in zip(axes, shown, strict=False):
        pixels = read_pixels(path, (SIDE, SIDE), crop)
        if isinstance(pixels, Problem):  # It was there when it was indexed.
            axis.text(0.5, 0.5, pixels.message, ha="center", wrap=True)
        else:
            axis.imshow(pixels)
        folder, name = os.path.split(os.path.abspath(path))
        words = [*textwrap.wrap(os.path.basename(folder), 24)[:2], name[-24:]]
        axis.set_title("\n".join([note, *words]), fontsize=8, parse_math=False)
    with atomic_path(path_out) as temporary, warnings.catch_warnings():
        # Names in a script that the font lacks become boxes, not warnings.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
