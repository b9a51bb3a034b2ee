"""New classes from a few photos, without training, beside training on.

Every eighth class of a set is new, as in grow.py, whose run "before" is the
preset that is taught (it is trained here when it is not there). 1, 2, 5 and
10 photos of each new class, drawn from its training photos by the seed; all
new classes at once, with and without unsorted photos of the old ones. Test
split, top-1 of old and new photos among all classes; 0 photos is the preset
before.

Run: python benchmarks/teach.py FOLDER [--seeds 3]
"""

import argparse
import dataclasses
import logging
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from grow import EVERY
from grow import write_list
from results import append_row
from results import is_done

from mamc_keras import train
from mamc_keras.data.pipeline import load_image
from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.predictions import predict_images
from mamc_keras.models.few_photos import MOST_KNOWN
from mamc_keras.models.settings import crop_of
from mamc_keras.models.teach import teach
from mamc_keras.recipe import load_recipe

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "teach.csv"
COUNTS = (1, 2, 5, 10)


def trained_before(folder, splits, new, seed, runs):
    """grow.py's run without the new classes."""
    run = runs / f"before-{seed}"
    if not (run / "metrics.json").exists():
        runs.mkdir(parents=True, exist_ok=True)
        names = set(splits["train"].class_names)
        write_list(runs / "old.csv", splits, names - set(new))
        recipe = load_recipe(HERE.parent / "recipes" / f"{folder.name}.py")
        source = str(runs / "old.csv")
        shutil.rmtree(run, ignore_errors=True)
        train(dataclasses.replace(recipe, source=source, seed=seed), run)
    return load_model(run)


def pixels(images, chosen, model):
    size, crop = model.image_size, crop_of(model)
    return np.stack([load_image(images.paths[i], size, crop) for i in chosen])


def shares(logits, truth, old):
    """Share of right answers on photos of old and of new classes."""
    right = logits.argmax(axis=1) == truth
    return right[truth < old].mean(), right[truth >= old].mean()


def measure(model, splits, new, seed):
    """Yields a row for each number of photos, with and without known ones."""
    train_set, test_set = splits["train"], splits["test"]
    names = (*model.class_names, *new)
    place = np.array([names.index(name) for name in train_set.class_names])
    old = len(model.class_names)
    # Only the last layer changes, so the test photos go through once; the
    # model has no names yet for some of them.
    nameless = np.zeros(len(test_set), int)
    blind = ImageSet(test_set.paths, nameless, model.class_names)
    embeddings = predict_images(model, blind).embeddings
    flat, truth = embeddings.reshape(len(blind), -1), place[test_set.labels]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train_set))
    labels = place[train_set.labels[order]]
    mine = {
        name: pixels(train_set, order[labels == old + i][: max(COUNTS)], model)
        for i, name in enumerate(new)
    }
    known = pixels(train_set, order[labels < old][:MOST_KNOWN], model)
    for count in (0, *COUNTS):
        for some in (None, known) if count else (None,):
            taught = model
            if count:
                few = {name: part[:count] for name, part in mine.items()}
                taught = teach(model, few, some)
            kernel, bias = taught.output_dense.get_weights()
            old_share, new_share = shares(flat @ kernel + bias, truth, old)
            yield {
                "photos": count,
                "known": 0 if some is None else len(some),
                "old_classes": old,
                "new_classes": len(new),
                "top1_old": f"{old_share:.4f}",
                "top1_new": f"{new_share:.4f}" if count else "",
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/grow"))
    parser.add_argument("--csv", type=Path, default=RESULTS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    splits = open_source(str(options.folder))
    new = splits["train"].class_names[EVERY - 1 :: EVERY]
    # The last row of a seed is written last.
    last = {"set": options.folder.name, "photos": COUNTS[-1]}
    for seed in range(options.seeds):
        if is_done(options.csv, **last, seed=seed, known=MOST_KNOWN):
            continue
        keras.backend.clear_session()
        model = trained_before(options.folder, splits, new, seed, options.runs)
        for row in measure(model, splits, new, seed):
            key = {"set": options.folder.name, "seed": seed}
            done = {"photos": row["photos"], "known": row["known"]}
            if not is_done(options.csv, **key, **done):
                append_row(options.csv, {**key, **row})
                logging.warning("%s", {**key, **row})


if __name__ == "__main__":
    main()
