"""Photos a second of the input pipeline, each policy beside decoding alone.

All kinds run in turn in one process, several times, so that a slow minute of
the machine hits all of them; the table in docs/data.md shows medians of the
ratios within a turn. Run it while nothing else runs. The last rows decode one
photo of 6,000 x 4,000 pixels and say how much memory that takes at most.
--enlarge 2 measures copies of the photos with twice as many pixels a side: the
shared sets were shrunk, photos from a camera are larger.

Run: python benchmarks/pipeline.py FOLDER [--enlarge 2] [--turns 3]
"""

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from memory import peak_mb
from PIL import Image
from results import append_row
from results import is_done

from mamc_keras.data.augment import POLICIES
from mamc_keras.data.decode import decode_image
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.data.pipeline import augment_image
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.sources import open_source

HERE = Path(__file__).parent
SIZE = (224, 224)
DECODE = "decode only"


def decode_only(images):
    """Reads and decodes the photos, and gives one number of each."""
    dataset = tf.data.Dataset.from_tensor_slices(list(images.paths))
    return dataset.map(
        lambda path: tf.shape(decode_image(tf.io.read_file(path))),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).batch(32)


def photos_per_second(dataset, batches):
    """Time of `batches` batches after the first two."""
    stream = iter(dataset)
    for _ in range(2):
        next(stream)
    count, started = 0, time.monotonic()
    for _ in range(batches):
        batch = next(stream)
        count += len(batch[0] if isinstance(batch, tuple) else batch)
    return count / (time.monotonic() - started)


def enlarge(images, factor, folder):
    """Writes larger copies, as JPEGs of quality 90."""
    paths = []
    for i, path in enumerate(images.paths):
        with Image.open(path) as photo:
            size = (photo.width * factor, photo.height * factor)
            larger = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        paths.append(f"{folder}/{i}.jpg")
        larger.save(paths[-1], quality=90)
    return dataclasses.replace(images, paths=tuple(paths))


def big_photo(folder):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8))
    path = Path(folder) / "big.jpg"
    small.resize((6000, 4000), Image.Resampling.BICUBIC).save(path)
    return str(path)


def measure(images, name, turns, file):
    plan = NPairPlan(images.labels, 16, 2)
    for turn in range(turns):
        for kind in (DECODE, *POLICIES):
            if is_done(file, set=name, kind=kind, turn=turn):
                continue
            if kind == DECODE:
                dataset = decode_only(images)
            else:
                dataset = n_pair_dataset(images, plan, SIZE, kind)
            rate = photos_per_second(dataset, len(images) // 32 - 2)
            row = {
                "set": name,
                "kind": kind,
                "turn": turn,
                "photos": len(images),
                "photos_per_second": f"{rate:.0f}",
                "peak_mb": f"{peak_mb():.0f}",
            }
            append_row(file, row)


def measure_big_photo(file):
    key = {"set": "one photo of 6,000 x 4,000", "kind": "standard"}
    if is_done(file, **key):
        return
    with tempfile.TemporaryDirectory() as folder:
        path, before = big_photo(folder), peak_mb()
        for seed in range(8):
            augment_image(path, SIZE, "standard", (seed, 0))
        used = f"{peak_mb() - before:.0f}"
    row = {**key, "turn": 0, "photos": 8, "photos_per_second": ""}
    append_row(file, {**row, "peak_mb": used})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--enlarge", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--csv", type=Path, default=HERE / "results/pipeline.csv"
    )
    options = parser.parse_args()
    measure_big_photo(options.csv)
    images = open_source(options.folder)["train"]
    rng = np.random.default_rng(0)
    count = min(options.photos, len(images))
    images = images.take(np.sort(rng.permutation(len(images))[:count]))
    name = options.folder.name
    with tempfile.TemporaryDirectory() as folder:
        if options.enlarge > 1:
            images = enlarge(images, options.enlarge, folder)
            name += f", enlarged {options.enlarge} x"
        measure(images, name, options.turns, options.csv)


if __name__ == "__main__":
    main()
