"""Pictures of where each attention branch looked."""

import numpy as np

from mamc_keras.data.pipeline import load_image
from mamc_keras.evaluation.attention_plot import attention_figure
from mamc_keras.evaluation.drawing import readable_name
from mamc_keras.evaluation.drawing import wrapped
from mamc_keras.evaluation.neighbours import nearest
from mamc_keras.evaluation.occlusion import hide
from mamc_keras.evaluation.occlusion import occlusion
from mamc_keras.models.settings import class_names
from mamc_keras.models.settings import crop_of


def explain(model, paths, path_out, check=False, gallery=None, count=3):
    """Draws where each branch looked, and what spoke for the answer.

    Args:
        model: `MAMCImageClassifier`.
        paths: list of str, photo files.
        path_out: str or Path of the PNG.
        check: bool. Whether to hide what the evidence marks, see `occlusion`,
            and draw that as well.
        gallery: `Predictions` of training photos, whose nearest are drawn by
            branch, or `None`.
        count: int. How many of them.

    Returns:
        list of dict, one for each photo: `photo`, `answer`, `probability`,
        and as far as asked for `next`, the drops of `occlusion`, and for each
        branch `branch_1_nearest`, `branch_1_class`, `branch_1_cosine`.
    """
    photos = [
        load_image(path, model.image_size, crop_of(model)).numpy()
        for path in paths
    ]
    batch = np.stack(photos)
    probabilities = model.probabilities(batch)
    names = class_names(model)
    order = probabilities.argsort(axis=1, kind="stable")[:, ::-1]
    rows, titles = [], []
    for path, row, ranked in zip(paths, probabilities, order, strict=True):
        best = names[ranked[0]], float(row[ranked[0]])
        rows.append(dict(zip(("answer", "probability"), best, strict=True)))
        rows[-1] = {"photo": str(path), **rows[-1]}
        titles.append(f"{best[0]}\n{best[1]:.0%}")
    evidence = hidden = near = None
    if model.num_classes > 1:
        best, next_best = order[:, 0], order[:, 1]
        against = model.evidence(batch, best, next_best).sum(axis=1)
        evidence = (
            model.evidence(batch, best),
            against,
            [names[k] for k in next_best],
        )
        if check:
            hidden = _check(model, batch, evidence, rows, names)
    if gallery is not None:
        near = _neighbours(model, batch, paths, gallery, count, rows)
    attention_figure(
        path_out, photos, model.attend(batch), titles, evidence, hidden, near
    )
    return rows


def _check(model, batch, evidence, rows, names):
    """Hides the strongest evidence; adds to the rows, gives the pictures."""
    maps, _, rivals = evidence

    def predict(images):
        # As the stored temperature has it: these are what people see.
        return np.log(np.maximum(model.probabilities(images), 1e-30))

    found = occlusion(predict, batch, maps.sum(axis=1))
    cells = found.pop("hidden")
    others = [names[k] for k in found.pop("answer_hidden")]
    covered = hide(batch, cells).astype(np.uint8)
    pictures = []
    for i, row in enumerate(rows):
        row["next"] = rivals[i]
        row["hidden"] = round(float(cells[i].mean()), 4)
        row["answer_hidden"] = others[i]
        row |= {k: float(v[i]) for k, v in found.items() if k != "probability"}
        after = row["probability"] - row["probability_drop"]
        random = row["probability"] - row["probability_drop_random"]
        said = "still the answer"
        if others[i] != row["answer"]:
            said = wrapped(f"now {readable_name(others[i])}")
        text = (
            f"{row['hidden']:.0%} hidden: {row['probability']:.0%} → "
            f"{after:.0%}\n{said}\n"
            f"the same shape elsewhere: → {random:.0%}"
        )
        pictures.append((covered[i], text))
    return pictures


def _neighbours(model, batch, paths, gallery, count, rows):
    """Finds training photos by branch; adds to the rows, gives the photos."""
    embeddings = model.embed(batch)
    index, cosines = nearest(embeddings, gallery, count, paths)
    drawn = []
    for i, row in enumerate(rows):
        branches = []
        for p in range(index.shape[1]):
            found = []
            for j, cosine in zip(index[i, p], cosines[i, p], strict=True):
                if cosine == -np.inf:  # The photo itself, or nothing left.
                    continue
                name = gallery.class_names[gallery.labels[j]]
                photo = load_image(
                    gallery.paths[j], model.image_size, crop_of(model)
                ).numpy()
                same = name == row["answer"]
                found.append((photo, name, float(cosine), same))
                if len(found) == 1:
                    key = f"branch_{p + 1}"
                    row[f"{key}_nearest"] = gallery.paths[j]
                    row[f"{key}_class"] = name
                    row[f"{key}_cosine"] = float(cosine)
            branches.append(found)
        drawn.append(branches)
    return drawn
