"""Callbacks of `train`."""

import keras


class BestPreset(keras.callbacks.Callback):
    """Saves the best epoch's classifier as a preset, at once and whole.

    Best is the highest validation accuracy, then the lowest validation
    cross-entropy; without validation photos the last epoch.

    Args:
        classifier: the whole `MAMCImageClassifier`.
        trained: the one that `fit` trains: the same, or its upper half whose
            encoder layers are the classifier's own.
        path: folder of the preset.
    """

    def __init__(self, classifier, trained, path):
        super().__init__()
        self.classifier = classifier
        self.trained = trained
        self.path = path
        self.best = None
        self.metrics = {}

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if "val_loss" in logs:
            score = (logs.get("val_accuracy", 0.0), -logs["val_loss"])
        else:
            score = (float(epoch), 0.0)
            if epoch + 1 < self.params["epochs"]:
                return
        if self.best is not None and score <= self.best:
            return
        self.best = score
        self.metrics = {
            "epoch": epoch + 1,
            **{k: v for k, v in logs.items() if k.startswith("val_")},
        }
        if self.trained is not self.classifier:
            for name in ("osme", "output_dense"):
                weights = getattr(self.trained, name).get_weights()
                getattr(self.classifier, name).set_weights(weights)
        self.classifier.save_to_preset(self.path)

    def restore(self):
        """Puts the best epoch's weights back into the classifier."""
        folder = self.path
        self.classifier.backbone.load_weights(folder / "model.weights.h5")
        self.classifier.load_task_weights(str(folder / "task.weights.h5"))
