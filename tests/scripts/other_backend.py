"""Trains the classifier on another backend, through compute_loss alone.

And loads a preset that TensorFlow saved.
"""

from pathlib import Path

import keras
import numpy as np
from small import batch
from small import encoder

from mamc_keras import MAMCImageClassifier

images, labels = batch(6)
images = images / 128 - 1
keras.utils.set_random_seed(1)
model = MAMCImageClassifier(encoder(), 6, embedding_dim=8)
model.compile(optimizer=keras.optimizers.Adam(0.01))
logs = model.fit(
    images, labels, batch_size=12, epochs=15, shuffle=False, verbose=0
).history
assert set(logs) == {"loss", "accuracy", "sasc", "sadc", "dasc"}, logs
assert logs["loss"][-1] < 0.7 * logs["loss"][0], logs["loss"]
assert set(model.evaluate(images, labels, verbose=0, return_dict=True)) == {
    "loss",
    "accuracy",
}
assert model.predict(images, verbose=0).shape == (12, 6)
assert model.embed(images).shape == (12, 2, 8)
assert np.isfinite(model.attend(images)).all()
stored = Path(__file__).parents[1] / "data" / "preset_format_1"
loaded = MAMCImageClassifier.from_preset(stored)
images, _ = batch()
with np.load(stored / "answers.npz") as answers:
    np.testing.assert_allclose(
        loaded.embed(images), answers["embeddings"], rtol=1e-3, atol=1e-3
    )
print(keras.backend.backend(), "learns")
