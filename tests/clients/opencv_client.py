"""OpenCV's reader on a .tflite file: MODEL IMAGES.npy -> JSON on stdout."""

import json
import sys

import cv2
import numpy as np


def main(model, images):
    network = cv2.dnn.readNetFromTFLite(model)
    rows = []
    for image in np.load(images):
        # Channels first and as they are: the rescaling is in the file.
        network.setInput(cv2.dnn.blobFromImage(image))
        rows.append(network.forward().ravel().tolist())
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
