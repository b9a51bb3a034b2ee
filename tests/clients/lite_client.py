"""Our own runtime alone: MODEL IMAGES.npy -> JSON on stdout."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from mamc_keras.lite import Classifier  # noqa: E402


def main(model, images):
    if importlib.util.find_spec("tensorflow"):
        raise SystemExit("There must be no TensorFlow here.")
    classifier = Classifier(model)
    rows = [classifier.predict(image).tolist() for image in np.load(images)]
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
