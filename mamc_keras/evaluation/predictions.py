"""One table of what a classifier says about a set of photos.

Every metric and picture is computed from this table, so the photos go
through the network once.
"""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from mamc_keras.files import atomic_path

TABLE_FILE = "predictions.csv"
ARRAYS_FILE = "embeddings.npz"
TOP = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Logits and embeddings of `n` photos.

    Args:
        paths: sequence of `n` str.
        labels: int array `(n,)`, indices into `class_names`.
        logits: float array `(n, num_classes)`.
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        class_names: sequence of `num_classes` str.

    Raises:
        ValueError: when the sizes do not fit together.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    embeddings: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "paths", tuple(map(str, self.paths)))
        object.__setattr__(self, "labels", np.asarray(self.labels, np.int64))
        for name in ("logits", "embeddings"):
            array = np.asarray(getattr(self, name), np.float32)
            object.__setattr__(self, name, array)
        names = tuple(map(str, self.class_names))
        object.__setattr__(self, "class_names", names)
        count = len(self.paths)
        if (
            self.labels.shape != (count,)
            or self.logits.shape != (count, len(names))
            or self.embeddings.ndim != 3
            or len(self.embeddings) != count
        ):
            raise ValueError(
                "Each photo has one label, one row of logits and one of "
                f"embeddings. Received: {count} paths, labels "
                f"{self.labels.shape}, logits {self.logits.shape}, "
                f"embeddings {self.embeddings.shape}, {len(names)} "
                "class_names."
            )

    def __len__(self):
        return len(self.paths)

    @property
    def probabilities(self):
        """Softmax of the logits: float64 `(n, num_classes)`."""
        logits = self.logits.astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
        powers = np.exp(shifted)
        return powers / powers.sum(axis=1, keepdims=True)

    @property
    def predicted(self):
        """The most probable class of each photo: int64 `(n,)`."""
        return self.logits.argmax(axis=1)

    def save(self, folder):
        """Writes predictions.csv for people and embeddings.npz for programs.

        Args:
            folder: str or Path, created when missing.
        """
        folder = Path(folder)
        with atomic_path(folder / TABLE_FILE) as temporary:
            self._write_table(temporary)
        with atomic_path(folder / ARRAYS_FILE) as temporary:
            np.savez(
                temporary,
                paths=np.array(self.paths, dtype=np.str_),
                labels=self.labels,
                logits=self.logits,
                embeddings=self.embeddings,
                class_names=np.array(self.class_names, dtype=np.str_),
            )

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote.

        Args:
            folder: str or Path.

        Returns:
            A `Predictions`.

        Raises:
            ValueError: when the folder holds no predictions.
        """
        path = Path(folder) / ARRAYS_FILE
        if not path.is_file():
            raise ValueError(
                f"There are no predictions. Received: {str(folder)!r} without "
                f"{ARRAYS_FILE}. Give a folder that `mamc evaluate` wrote."
            )
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    def _write_table(self, path):
        top = min(TOP, len(self.class_names))
        columns = ["path", "label", "predicted", "probability"]
        for i in range(2, top + 1):
            columns += [f"predicted_{i}", f"probability_{i}"]
        probabilities = self.probabilities
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :top]
        # Names of files need not be valid UTF-8; their bytes are kept.
        with path.open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            for i, best in enumerate(order):
                row = [self.paths[i], self.class_names[self.labels[i]]]
                for k in best:
                    row += [self.class_names[k], f"{probabilities[i, k]:.6f}"]
                writer.writerow(row)


def predict_images(model, images, batch_size=32, progress=None):
    """Runs a classifier over photos once, as evaluation sees them.

    Args:
        model: `MAMCImageClassifier`.
        images: `ImageSet` whose labels are the model's classes.
        batch_size: int.
        progress: callable `(done, total)`, or `None`.

    Returns:
        A `Predictions`.

    Raises:
        ValueError: when there are no photos, or no `image_size`.
    """
    from mamc_keras.data.pipeline import plain_dataset
    from mamc_keras.models.settings import crop_of

    if not len(images):
        raise ValueError(
            "There are no photos to predict. Received: an ImageSet of 0 "
            "images. Choose a split that has some."
        )
    if model.image_size is None:
        raise ValueError(
            "Photos of different sizes must be brought to one. Received: "
            "model.image_size=None. Build the model with image_size or with "
            "a preprocessor that has one."
        )
    heads = compiled_heads(model)
    logits, embeddings, done = [], [], 0
    dataset = plain_dataset(
        images, model.image_size, batch_size, crop_of(model)
    )
    for batch, _ in dataset:
        outputs = heads(batch)
        logits.append(_float32(outputs["logits"]))
        embeddings.append(_float32(outputs["embeddings"]))
        done += len(logits[-1])
        if progress:
            progress(done, len(images))
    return Predictions(
        images.paths,
        images.labels,
        np.concatenate(logits),
        np.concatenate(embeddings),
        images.class_names,
    )


def compiled_heads(model):
    """Compiles the way from photos to logits and embeddings.

    Args:
        model: `MAMCImageClassifier` with an `image_size`.

    Returns:
        Callable of a uint8 tensor `(batch_size, *image_size, 3)`; it gives
        what `model.heads` gives.
    """
    import keras

    def heads(images):
        x = keras.ops.cast(images, "float32")
        if model.preprocessor is not None:
            x = model.preprocessor(x)
        return model.heads(x)

    if keras.backend.backend() != "tensorflow":
        return lambda batch: heads(batch.numpy())
    import tensorflow as tf

    # One signature, so that the smaller last batch is not traced anew.
    signature = tf.TensorSpec((None, *model.image_size, 3), tf.uint8)
    return tf.function(heads, input_signature=[signature])


def _float32(tensor):
    import keras

    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
