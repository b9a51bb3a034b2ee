"""Do the branches look at different parts? On cub50's part positions.

For each run folder: how alike the branches' maps are, how often their peaks
lie in the bird's box and within a seventh of the view (one cell of the map)
of each of its 15 parts, and how often by chance. Three maps: "attention", the
mean of relu(S^p); "evidence", what each place adds to the answer's logit; and
"against", to the difference of the two most probable classes' logits. Test
photos; nothing is chosen here. One CSV row a run, map, branch and part;
"(box)" and "(likeness)" are rows of their own. Finished runs are skipped.

Run: python benchmarks/diversity.py ../shared/data/cub50 RUN...
"""

import argparse
import csv
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
from results import append_row
from results import is_done

from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation import localization
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.models.settings import crop_of

FILE = Path(__file__).parent / "results" / "diversity.csv"
RADIUS = 1 / 7


def annotations(folder, images, model):
    """Parts `(n, 15, 2)` and boxes `(n, 4)` in the model's view."""
    with (folder / "boxes.csv").open(newline="") as stream:
        boxes = {row["file"]: row for row in csv.DictReader(stream)}
    points = {}
    with (folder / "parts.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            place = (float(row["x"]), float(row["y"]))
            if row["visible"] != "1":
                place = (np.nan, np.nan)
            points.setdefault(row["file"], {})[row["part"]] = place
    names = list(next(iter(points.values())))
    files = [str(Path(path).relative_to(folder)) for path in images.paths]
    parts, corners = [], []
    for file in files:
        box = {k: float(boxes[file][k]) for k in "xywh"}
        size = (float(boxes[file]["height"]), float(boxes[file]["width"]))
        corner = [
            [box["x"], box["y"]],
            [box["x"] + box["w"], box["y"] + box["h"]],
        ]
        view = (size, model.image_size, crop_of(model))
        parts.append(
            localization.to_view([points[file][n] for n in names], *view)
        )
        corners.append(localization.to_view(corner, *view).ravel())
    return names, np.array(parts), np.array(corners)


def rows(folder, run):
    model = load_model(run)
    images = open_source(folder, validation_fraction=0)["test"]
    dataset = plain_dataset(images, model.image_size, 32, crop_of(model))
    found = {"attention": [], "evidence": [], "against": []}
    for photos, _ in dataset:
        order = model.probabilities(photos).argsort(axis=1)
        best, second = order[:, -1], order[:, -2]
        found["attention"].append(model.attend(photos))
        found["evidence"].append(model.evidence(photos, best))
        found["against"].append(model.evidence(photos, best, second))
    places = annotations(folder, images, model)
    for kind, maps in found.items():
        for row in measured(np.concatenate(maps), *places):
            yield kind, *row


def measured(maps, names, parts, boxes):
    """Yields (branch, what, value, by chance) of one kind of map."""
    points = localization.peaks(maps)
    hits, chance = localization.hit_rates(points, parts, RADIUS)
    in_box = localization.inside_boxes(points, boxes).mean(axis=0)
    moved = np.roll(points, 1, axis=0)
    in_box_chance = localization.inside_boxes(moved, boxes).mean(axis=0)
    if maps.shape[1] > 1:
        correlation, same = localization.likeness(maps)
        yield -1, "(likeness)", correlation, same
    for branch in range(maps.shape[1]):
        yield branch, "(box)", in_box[branch], in_box_chance[branch]
        for k, name in enumerate(names):
            yield branch, name, hits[branch, k], chance[branch, k]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    for run in options.runs:
        name, arm, seed = run.name.split("-")
        if name != options.folder.name:
            raise SystemExit(f"{run} was trained on {name}")
        if is_done(FILE, arm=arm, seed=seed):
            continue
        for kind, branch, part, value, chance in list(
            rows(options.folder, run)
        ):
            append_row(
                FILE,
                {
                    "set": name,
                    "arm": arm,
                    "seed": seed,
                    "map": kind,
                    "branch": branch,
                    "part": part,
                    "value": f"{value:.4f}",
                    "chance": f"{chance:.4f}",
                },
            )


if __name__ == "__main__":
    main()
