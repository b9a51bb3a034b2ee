"""Writes the preset of today that later versions must still read.

Run when FORMAT of mamc_keras/models/presets.py is raised, and keep the old
folders: python tests/scripts/stored_preset.py tests/data/preset_format_N
"""

import sys
from pathlib import Path

import keras
import numpy as np
from small import batch
from small import encoder

from mamc_keras import MAMCImageClassifier
from mamc_keras import MAMCLoss

folder = Path(sys.argv[1])
keras.utils.set_random_seed(0)
model = MAMCImageClassifier(
    encoder(),
    4,
    {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)},
    num_attentions=3,
    embedding_dim=8,
    mamc_loss=MAMCLoss(temperature=0.3),
    mamc_weight=0.25,
    class_names=("ant", "bee", "cow", "dog"),
)
images, labels = batch()
model.compile(optimizer="adam")
model.fit(images, labels, epochs=2, verbose=0)
model.save_to_preset(folder)
np.savez(
    folder / "answers.npz",
    logits=model.predict(images, verbose=0),
    embeddings=model.embed(images),
)
