"""Photos a second of the input pipeline, each policy beside decoding alone.

All kinds run in turn in one process, several times, so that a slow minute of
the machine hits all of them; the table in docs/data.md shows medians of the
ratios within a turn. Run it while nothing else runs. The last rows decode one
photo of 6,000 x 4,000 pixels and say how much memory that takes at most.

Run: python benchmarks/pipeline.py FOLDER [--photos 1500] [--turns 3]
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from PIL import Image
from results import append_row

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


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def big_photo(folder):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8))
    path = Path(folder) / "big.jpg"
    small.resize((6000, 4000), Image.Resampling.BICUBIC).save(path)
    return str(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument(
        "--csv", type=Path, default=HERE / "results/pipeline.csv"
    )
    options = parser.parse_args()
    images = open_source(options.folder)["train"]
    rng = np.random.default_rng(0)
    count = min(options.photos, len(images))
    images = images.take(np.sort(rng.permutation(len(images))[:count]))
    plan = NPairPlan(images.labels, 16, 2)
    batches = count // 32 - 2
    options.csv.unlink(missing_ok=True)
    for turn in range(options.turns):
        for kind in (DECODE, *POLICIES):
            if kind == DECODE:
                dataset = decode_only(images)
            else:
                dataset = n_pair_dataset(images, plan, SIZE, kind)
            rate = photos_per_second(dataset, batches)
            row = {
                "set": options.folder.name,
                "kind": kind,
                "turn": turn,
                "photos": count,
                "photos_per_second": f"{rate:.0f}",
                "peak_mb": f"{peak_mb():.0f}",
            }
            append_row(options.csv, row)
    with tempfile.TemporaryDirectory() as folder:
        path, before = big_photo(folder), peak_mb()
        for seed in range(8):
            augment_image(path, SIZE, "standard", (seed, 0))
        append_row(
            options.csv,
            {
                "set": "one photo of 6,000 x 4,000",
                "kind": "standard",
                "turn": 0,
                "photos": 8,
                "photos_per_second": "",
                "peak_mb": f"{peak_mb() - before:.0f}",
            },
        )


if __name__ == "__main__":
    main()
