"""MediaPipe Tasks on a .tflite file: MODEL IMAGES.npy -> JSON on stdout."""

import json
import sys

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python import vision


def images_of(path):
    for image in np.load(path):
        yield mp.Image(
            image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )


def classify(model, path):
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=model)
    )
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image in images_of(path):
            (answer,) = classifier.classify(image).classifications
            yield {c.category_name: c.score for c in answer.categories}


def embed(model, path):
    options = vision.ImageEmbedderOptions(
        base_options=BaseOptions(model_asset_path=model), l2_normalize=True
    )
    with vision.ImageEmbedder.create_from_options(options) as embedder:
        for image in images_of(path):
            (answer,) = embedder.embed(image).embeddings
            yield np.asarray(answer.embedding).tolist()


if __name__ == "__main__":
    task, model, images = sys.argv[1:]
    function = {"classify": classify, "embed": embed}[task]
    json.dump(list(function(model, images)), sys.stdout)
