"""OpenVINO's reader on a .tflite or .onnx file: MODEL IMAGES.npy -> JSON."""

import json
import sys

import numpy as np
import openvino


def main(model, images):
    network = openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    rows = [
        network(image[None])[0].ravel().tolist() for image in np.load(images)
    ]
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
