"""The picture of `mamc explain`: where each branch looks, and what for."""

import numpy as np
from matplotlib.figure import Figure

from mamc_keras.evaluation import drawing
from mamc_keras.evaluation import overlays

CELL = 2.2  # inches, the side of one photo


def attention_figure(
    path_out,
    photos,
    maps,
    titles,
    evidence=None,
    hidden=None,
    neighbours=None,
):
    """Draws photos, where each branch looks, and how the branches differ.

    The heat of a branch is scaled for each photo from its lowest to its
    highest value. Branches often look at much the same place, so the last
    columns show what sets them apart: each map is divided by its sum, which
    gives the share of attention that a place gets, and the shares are
    subtracted. Two branches need one such column (1 minus 2), more need one
    each (the branch minus the mean of all).

    With `evidence` more columns follow: what each place adds to the answer's
    logit (red) or takes from it (blue), by branch, and what speaks for the
    answer rather than for the next probable class. With `hidden` one more:
    the photo as the occlusion check hides it. With `neighbours` a second row
    for each photo: the nearest training photos by branch.

    Args:
        path_out: str or Path of the PNG.
        photos: sequence of uint8 arrays `(height, width, 3)`.
        maps: float array `(n, num_attentions, map_height, map_width)`.
        titles: sequence of `n` str, written under the photos.
        evidence: `None`, or `(branches, against, rivals)`: float arrays
            `(n, num_attentions, map_height, map_width)` and `(n, map_height,
            map_width)`, and `n` str, the names of the next classes.
        hidden: `None`, or a list of `n` pairs `(photo, text)`.
        neighbours: `None`, or a list of `n` lists, one for each branch, of
            `(photo, class name, cosine, whether the class is the answer)`.

    Raises:
        ValueError: when there are no photos, or not one map and title each.
    """
    maps = np.asarray(maps, np.float64)
    if not len(photos) == len(maps) == len(titles) or maps.ndim != 4:
        raise ValueError(
            "Every photo has one title and one map a branch. Received: "
            f"{len(photos)} photos, maps {maps.shape}, {len(titles)} titles. "
            "Give as many of each."
        )
    if not len(photos):
        raise ValueError(
            "There are no photos to draw. Received: 0 photos. Give one."
        )
    differences = overlays.differences(maps)
    # One scale for the whole figure: rows can be compared.
    limit = np.abs(differences).max(initial=overlays.LEAST_DIFFERENCE)
    elsewhere = overlays.share_elsewhere(maps)
    heads = _heads(maps.shape[1], differences.shape[1], evidence, hidden)
    last = maps.shape[1] + differences.shape[1]
    lines = 2 if neighbours else 1
    columns = max(
        [len(heads)] + [sum(map(len, found)) for found in neighbours or ()]
    )
    size = (CELL * columns, (CELL + 0.45) * lines * len(photos) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines * len(photos), columns, squeeze=False)
    for row, photo in enumerate(photos):
        photo = np.asarray(photo)
        line = axes[lines * row]
        pictures = [photo]
        pictures += [overlays.heat(photo, m) for m in maps[row]]
        pictures += [overlays.tint(photo, d, limit) for d in differences[row]]
        texts = [""] * len(pictures)
        name, *rest = str(titles[row]).split("\n")
        texts[0] = "\n".join([drawing.wrapped(name), *rest])
        if differences.shape[1]:
            texts[last] = (
                f"{elsewhere[row]:.1%} of the attention\nis not shared"
            )
        if evidence:
            shown, said = _evidence(photo, *(v[row] for v in evidence))
            pictures += shown
            texts += said
        if hidden:
            pictures.append(hidden[row][0])
            texts.append(hidden[row][1])
        for axis in line[len(heads) :]:
            drawing.show(axis, None)
        for axis, picture, text in zip(line, pictures, texts, strict=False):
            drawing.show(axis, picture, text)
        if neighbours:
            _neighbours(axes[lines * row + 1], neighbours[row])
    for axis, head in zip(axes[0], heads, strict=False):
        axis.set_title(head, fontsize=9)
    if neighbours:
        figure.supxlabel(
            "frames: green, of the answer's class; red, of another class",
            fontsize=9,
        )
    drawing.save(figure, path_out)


def _heads(branches, differing, evidence, hidden):
    """Titles of the columns."""
    heads = ["photo"]
    heads += [f"branch {p + 1}" for p in range(branches)]
    if differing == 1:
        heads.append("branch 1 − branch 2\nred: more of 1, blue: more of 2")
    else:
        heads += [
            f"branch {p + 1} − mean\nred: more, blue: less"
            for p in range(differing)
        ]
    if evidence:
        heads += [
            f"branch {p + 1} for the answer\nred: adds, blue: takes"
            for p in range(branches)
        ]
        heads.append("this rather than the next")
    if hidden:
        heads.append("hidden: where most\nspoke for the answer")
    return heads


def _evidence(photo, branches, against, rival):
    """Pictures of one photo's evidence, and the sums to write under them."""
    # The branches of a photo have one scale: a pale one adds little.
    limit = max(np.abs(branches).max(), 1e-12)
    pictures = [overlays.tint(photo, values, limit) for values in branches]
    limit = max(np.abs(against).max(), 1e-12)
    pictures.append(overlays.tint(photo, against, limit))
    texts = [f"{values.sum():+.1f} above the mean logit" for values in branches]
    texts.append(
        f"{drawing.wrapped('than ' + drawing.readable_name(rival))}\n"
        f"{against.sum():+.1f}"
    )
    return pictures, texts


def _neighbours(axes, branches):
    """The second row of a photo: what lies next to it, branch by branch."""
    places = iter(axes)
    for p, found in enumerate(branches):
        for rank, (photo, name, cosine, same) in enumerate(found):
            axis = next(places)
            colour = "#1a7a1a" if same else "#b02020"
            text = f"{drawing.wrapped(name)}\ncosine {cosine:.2f}"
            drawing.show(axis, photo, text, colour, colour)
            if not rank:
                axis.set_title(
                    f"nearest training photos\nto branch {p + 1}: 1st",
                    fontsize=9,
                )
            else:
                axis.set_title(f"{rank + 1}.", fontsize=9)
    for axis in places:
        axis.axis("off")
