"""The callback that lets a run survive."""

import signal
import time

import keras

from mamc_keras.files import write_text
from mamc_keras.stopping import Interrupted
from mamc_keras.training import checkpoints
from mamc_keras.workers import Cluster


class Recorder(keras.callbacks.Callback):
    """Writes checkpoints and history.csv, and stops a run when asked to.

    A checkpoint is written after every epoch, after every `every` steps of
    one, and before the run stops for a signal. During the validation of an
    epoch a signal waits for its end.

    Args:
        path: `Path` of the run folder.
        trained: the `keras.Model` that `fit` trains.
        data: str. Fingerprint of the training images.
        every: int. Steps.
        request: `StopRequest`.
        resumed: `Checkpoint` to go on from, or `None`.
        here: `Cluster`. The chief alone writes, and only where all workers
            do the same: a signal ends one of several without a checkpoint.
    """

    def __init__(
        self, path, trained, data, every, request, resumed=None, here=None
    ):
        super().__init__()
        self.path = path
        self.trained = trained
        self.data = data
        self.every = every
        self.request = request
        self.here = here or Cluster()
        self.history = list(resumed.history) if resumed else []
        self.seconds = resumed.seconds if resumed else 0.0
        self.started = time.monotonic()
        self.epoch = resumed.epoch if resumed else 0
        self.first_step = resumed.step if resumed else 0
        self.pending = resumed.arrays if resumed else None

    @property
    def elapsed(self):
        """Seconds that the run took, those before it was resumed included."""
        return self.seconds + time.monotonic() - self.started

    def on_epoch_begin(self, epoch, logs=None):
        # fit has reset the metrics by now, so half an epoch's are put back.
        if self.pending is not None:
            checkpoints.restore(self.trained, self.pending)
            self.pending = None

    def on_train_batch_end(self, batch, logs=None):
        step = self.first_step + batch + 1
        if batch + 1 == self.params["steps"]:
            return  # The end of the epoch follows.
        if self.request.signum is not None:
            self._stop(step)
        if step % self.every == 0:
            self._write(step)

    def on_epoch_end(self, epoch, logs=None):
        self.history.append({k: float(v) for k, v in (logs or {}).items()})
        self.epoch, self.first_step = epoch + 1, 0
        # Before the checkpoint: what comes after it is not done again.
        if self.here.is_chief:
            write_text(self.path / "history.csv", _table(self.history))
        arrays = self._write(0)
        if epoch + 1 == self.params["epochs"]:
            # fit ends by changing the weights when it averages them; the
            # second fit of a resumed run must not start from those.
            self.pending = arrays
        if self.request.signum is not None:
            self._stop(0)

    def columns(self):
        """Returns the history as a dict of lists, as `fit` gives it."""
        names = self.history[0] if self.history else ()
        return {name: [row[name] for row in self.history] for name in names}

    def _write(self, step):
        arrays = checkpoints.snapshot(self.trained, metrics=step > 0)
        if self.here.is_chief:
            checkpoint = checkpoints.Checkpoint(
                self.epoch,
                step,
                self.data,
                self.elapsed,
                self.history,
                arrays,
            )
            checkpoints.write(self.path / "checkpoints", checkpoint)
        return arrays

    def _stop(self, step):
        name = signal.Signals(self.request.signum).name
        if self.here.workers > 1:
            message = (
                f"Worker {self.here.worker} was stopped by {name}, which ends "
                "the others too. Start all of them again with --resume to go "
                f"on from the last checkpoint in {self.path}."
            )
        else:
            if step:  # An epoch's end has just been written.
                self._write(step)
            message = (
                f"Stopped by {name} after {self.epoch} epochs and {step} "
                "steps; everything up to here is in the last checkpoint. "
                f"Continue with: mamc train {self.path} --resume"
            )
        raise Interrupted(self.request.signum, message)


def _table(history):
    """The history as CSV, as keras.callbacks.CSVLogger writes it."""
    names = sorted(history[0])
    lines = [",".join(["epoch", *names])]
    lines += [
        ",".join([str(epoch), *(str(row[name]) for name in names)])
        for epoch, row in enumerate(history)
    ]
    return "\n".join(lines) + "\n"
