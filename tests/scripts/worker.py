"""One of several processes that train together: photos, run folder, out.

Trains as `mamc train` does, on a small network without dropout, whose draws
depend on the number of devices, and saves what this process holds at the end
of every epoch.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import small

from mamc_keras import cli
from mamc_keras.training import build
from mamc_keras.training import checkpoints


def main():
    photos, run, out, *options = sys.argv[1:]
    build.load_backbone = lambda *_: (small.encoder(64), {"scale": 1 / 255})
    snapshot = checkpoints.snapshot

    def kept(model, metrics=True):
        arrays = snapshot(model, metrics)
        if not metrics:
            np.savez(out, **arrays)
        return arrays

    checkpoints.snapshot = kept
    cli.main(
        [
            *("train", photos, "--run-dir", run, "--resume"),
            *("--image-size", "64", "64", "--embedding-dim", "16"),
            *("--dropout", "0", "--classes-per-batch", "4", *options),
        ]
    )


if __name__ == "__main__":
    main()
