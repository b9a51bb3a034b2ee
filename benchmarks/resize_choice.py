"""Centre crop or squeezed whole photo? A linear probe, on train photos only.

Five-fold cross-validation of a logistic regression on the pooled features of
a frozen EfficientNet-Lite0. The test splits are not touched.

Run: python benchmarks/resize_choice.py FOLDER...
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import open_source
from mamc_keras.models.efficientnet_lite import load_efficientnet_lite


def main(folders):
    backbone, settings = load_efficientnet_lite("efficientnet_lite0_imagenet")

    @tf.function(reduce_retracing=True)
    def pooled(images):
        x = tf.cast(images, tf.float32) * settings["scale"]
        return tf.reduce_mean(backbone(x + settings["offset"]), axis=(1, 2))

    print("set,crop_to_aspect_ratio,accuracy")
    for folder in folders:
        images = open_source(folder, validation_fraction=0)["train"]
        for crop in (True, False):
            batches = plain_dataset(images, (224, 224), 32, crop)
            x = np.concatenate([pooled(photos) for photos, _ in batches])
            probe = make_pipeline(
                StandardScaler(), LogisticRegression(C=0.01, max_iter=300)
            )
            score = cross_val_score(probe, x, images.labels, cv=5, n_jobs=2)
            print(f"{Path(folder).name},{crop},{score.mean():.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
