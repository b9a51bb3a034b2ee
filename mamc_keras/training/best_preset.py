"""The best epoch's classifier, on disk as soon as the epoch is over."""

import json

import keras

from mamc_keras.files import atomic_path
from mamc_keras.files import write_json

SCORES = "training.json"  # In the preset, so that both are replaced at once.


class BestPreset(keras.callbacks.Callback):
    """Saves the best epoch's classifier as a preset, at once and whole.

    Best is the highest validation accuracy, then the lowest validation
    cross-entropy; without validation photos the last epoch.

    Args:
        classifier: the whole `MAMCImageClassifier`.
        trained: the one that `fit` trains: the same, or its upper half whose
            encoder layers are the classifier's own.
        path: folder of the preset. One that is there already is the best so
            far of a run that goes on.
        epochs: int. Epochs of the whole run.
        writes: bool. `False` on all workers but the chief.
    """

    def __init__(self, classifier, trained, path, epochs, writes=True):
        super().__init__()
        self.classifier = classifier
        self.trained = trained
        self.path = path
        self.epochs = epochs
        self.writes = writes
        self.metrics = {}
        file = path / SCORES
        if file.exists():
            self.metrics = json.loads(file.read_text(encoding="utf-8"))

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        metrics = {
            "epoch": epoch + 1,
            **{k: float(v) for k, v in logs.items() if k.startswith("val_")},
        }
        if "val_loss" not in logs and epoch + 1 < self.epochs:
            return
        if self.metrics and _score(metrics) <= _score(self.metrics):
            return
        self.metrics = metrics
        if self.trained is not self.classifier:
            for name in ("osme", "output_dense"):
                weights = getattr(self.trained, name).get_weights()
                getattr(self.classifier, name).set_weights(weights)
        if self.writes:
            with atomic_path(self.path) as folder:
                self.classifier.save_to_preset(folder)
                write_json(folder / SCORES, metrics)


def _score(metrics):
    if "val_loss" in metrics:
        return (metrics.get("val_accuracy", 0.0), -metrics["val_loss"])
    return (float(metrics["epoch"]), 0.0)
