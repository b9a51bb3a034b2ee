"""Do the maps mark what matters? Boxes, parts and occlusion on cub50.

For each run folder and kind of map, on the test photos: the pointing game
(the highest cell is in the bird's box), the energy in the box (the part of
the map's positive values that lies there), the share of the photos whose
highest cell is within a seventh of the view of a visible part, each beside
chance (the same map over another photo's bird), and the occlusion check: how
much the lead of the answer over the best other class, and its probability, drop
when the tenth of the cells with the highest values is hidden, beside the same
shape at 8 random places.

Kinds: "attention", the mean of relu(S^p); "evidence", what each place adds to
the answer's logit; "against", to its lead over the next class. "branch 1"...
are one branch alone, "all" their mean or sum. For a plain softmax the
evidence is the class activation map; with a linear head on averaged features
that is Grad-CAM as well, but for Grad-CAM's ReLU, so these rows stand for all
three. One CSV row an arm, seed and kind; what parts each branch meets one by
one is in diversity.py. Finished runs are skipped.

Run: python benchmarks/faithfulness.py ../shared/data/cub50 RUN...
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
from diversity import RADIUS
from diversity import annotations
from results import append_row
from results import is_done

from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation import localization
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.occlusion import occlusion
from mamc_keras.evaluation.predictions import compiled_heads
from mamc_keras.models.settings import crop_of

FILE = Path(__file__).parent / "results" / "faithfulness.csv"
DROPS = ("margin", "margin_drop", "margin_drop_random", "probability")
DROPS += ("probability_drop", "probability_drop_random")


def kinds_of(model, photos):
    """Yields (name, maps `(n, h, w)`) of a batch of photos."""
    order = model.probabilities(photos).argsort(axis=1)
    best, second = order[:, -1], order[:, -2]
    maps = {
        "attention": model.attend(photos),
        "evidence": model.evidence(photos, best),
        "against": model.evidence(photos, best, second),
    }
    for kind, branches in maps.items():
        yield f"{kind}, all", branches.mean(axis=1)
        if branches.shape[1] > 1:
            for p in range(branches.shape[1]):
                yield f"{kind}, branch {p + 1}", branches[:, p]


def measured(maps, parts, boxes):
    """Pointing game, energy and parts of one kind of map, beside chance."""
    maps = maps[:, None]
    other = np.roll(maps, 1, axis=0)
    found = {}
    for suffix, shown in (("", maps), ("_chance", other)):
        points = localization.peaks(shown)
        met, inside = localization.near(points, parts, RADIUS)
        seen = inside.any(axis=1)
        found |= {
            f"pointing{suffix}": localization.inside_boxes(points, boxes),
            f"energy{suffix}": localization.energy_inside(shown, boxes),
            f"part{suffix}": met.any(axis=-1)[seen],
        }
    return {name: values.mean() for name, values in found.items()}


def rows(folder, run, every):
    model = load_model(run)
    images = open_source(folder, validation_fraction=0)["test"]
    images = images.take(np.arange(0, len(images), every))
    heads = compiled_heads(model)

    def predict(photos):
        # The heads take whole grey levels, as photos have.
        return heads(np.rint(photos).astype(np.uint8))["logits"].numpy()

    maps, drops = {}, {}
    dataset = plain_dataset(images, model.image_size, 32, crop_of(model))
    for photos, _ in dataset:
        photos = photos.numpy()
        for kind, batch in kinds_of(model, photos):
            maps.setdefault(kind, []).append(batch)
            if kind.endswith("all"):
                drops.setdefault(kind, []).append(
                    occlusion(predict, photos, batch)
                )
    _, parts, boxes = annotations(folder, images, model)
    for kind, batches in maps.items():
        values = measured(np.concatenate(batches), parts, boxes)
        for name in DROPS:
            values[name] = (
                np.concatenate([d[name] for d in drops[kind]]).mean()
                if kind in drops
                else np.nan
            )
        yield kind, len(images), values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="nth photo only")
    options = parser.parse_args()
    for run in options.runs:
        name, arm, seed = run.name.split("-")
        if name != options.folder.name:
            raise SystemExit(f"{run} was trained on {name}")
        if is_done(FILE, set=name, arm=arm, seed=seed):
            continue
        # All of a run's rows at once: a run that was cut off has none.
        found = list(rows(options.folder, run, options.every))
        for kind, images, values in found:
            numbers = {k: f"{v:.4f}" for k, v in values.items()}
            append_row(
                FILE,
                {"set": name, "arm": arm, "seed": seed, "map": kind}
                | {"images": images}
                | numbers,
            )


if __name__ == "__main__":
    main()
