"""onnxruntime on an .onnx file: MODEL IMAGES.npy -> JSON on stdout."""

import json
import sys

import numpy as np
import onnxruntime


def main(model, images):
    session = onnxruntime.InferenceSession(
        model, providers=["CPUExecutionProvider"]
    )
    (batch,) = session.get_inputs()
    rows = session.run(None, {batch.name: np.load(images)})[0]
    json.dump(rows.tolist(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
