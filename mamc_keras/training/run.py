"""From a recipe to a run folder with a trained, explained classifier."""

import contextlib
import dataclasses
import logging
import os
from pathlib import Path

import keras

from mamc_keras import devices
from mamc_keras import run_folder
from mamc_keras import workers
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.files import recover
from mamc_keras.long_tail import balanced_weights
from mamc_keras.models.classifier import MAMCImageClassifier
from mamc_keras.stopping import stop_requests
from mamc_keras.training import checkpoints
from mamc_keras.training.batches import cached_batches
from mamc_keras.training.batches import live_batches
from mamc_keras.training.best_preset import BestPreset
from mamc_keras.training.build import build_model
from mamc_keras.training.build import compile_model
from mamc_keras.training.prepare import describe
from mamc_keras.training.prepare import fingerprint
from mamc_keras.training.prepare import prepare_data
from mamc_keras.training.recorder import Recorder

_log = logging.getLogger("mamc_keras")


@dataclasses.dataclass
class Run:
    """What `train` gives back.

    Args:
        model: the best `MAMCImageClassifier`.
        history: dict of lists, one value an epoch.
        metrics: dict of validation metrics of the best epoch; empty without
            validation photos.
        path: `Path` of the run folder.
    """

    model: MAMCImageClassifier
    history: dict
    metrics: dict
    path: Path


def train(recipe, run_dir, progress=None, mamc_loss=None, resume=False):
    """Trains a classifier and writes everything about it to a run folder.

    SIGTERM and Ctrl-C stop it after the next step with a checkpoint.

    Args:
        recipe: `Recipe`.
        run_dir: str or Path. A new folder; an existing run is touched only
            to resume it.
        progress: callable `(what, done, total)` for the steps before `fit`,
            or `None`.
        mamc_loss: Keras loss of (labels, embeddings) in place of the
            recipe's MAMC, or `None`.
        resume: bool. Go on with the run that is in `run_dir`, if there is
            one, from its last checkpoint; a finished one is given back.

    Returns:
        A `Run`. The folder holds recipe.json, environment.json, data.txt,
        history.csv, metrics.json, preset/ and pictures.

    Raises:
        ValueError: on unusable data or recipe, before anything is written;
            on a run to resume that has another recipe or other photos.
        ConnectionError: when another machine of several is lost.
        Interrupted: when a signal stopped it; the run can be resumed.
    """
    recipe = _with_absolute_paths(recipe)
    here = workers.cluster()
    begun = resume and run_folder.is_begun(run_dir)
    if begun:
        path = Path(run_dir)
        run_folder.check_same(path, recipe)
        # Before the others are waited for, who may have ended already.
        if run_folder.is_finished(path):
            _log.info("The run in %s is finished; nothing is left to do.", path)
            return Run(
                _best_model(path, recipe), *run_folder.results(path), path
            )
        if here.is_chief:
            recover(path)
            recover(path / "checkpoints")
    else:
        path = run_folder.new_path(run_dir)
    strategy = _strategy(recipe, here)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.dtype)
    try:
        scope = strategy.scope() if strategy else contextlib.nullcontext()
        with scope, workers.loss_of_a_worker(here, path):
            done = _fit(
                recipe, path, progress, mamc_loss, begun, strategy, here
            )
    finally:
        keras.config.set_dtype_policy(before)
    if here.is_chief:
        model = _best_model(path, recipe)
        run_folder.finish(path, model, *done)
    if here.workers > 1:
        with workers.loss_of_a_worker(here, path):
            workers.wait_for_all(strategy)
    if not here.is_chief:
        model = _best_model(path, recipe)
    return Run(model, *run_folder.results(path), path)


def _strategy(recipe, here):
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    if here.workers == 1:
        return devices.strategy(recipe.devices)
    if recipe.devices > 1:
        raise ValueError(
            "Each of several machines uses all of its GPUs. Received: "
            f"devices={recipe.devices} and a TF_CONFIG of {here.workers} "
            "workers. Leave devices out; hide GPUs with CUDA_VISIBLE_DEVICES."
        )
    return workers.multi_worker_strategy()


def _with_absolute_paths(recipe):
    # The run must find its photos from any working folder later.
    paths = {}
    if not recipe.source.startswith("tfds:"):
        paths["source"] = os.path.abspath(os.path.expanduser(recipe.source))
    if recipe.exclude:
        paths["exclude"] = os.path.abspath(os.path.expanduser(recipe.exclude))
    return dataclasses.replace(recipe, **paths)


def _fit(recipe, path, progress, mamc_loss, begun, strategy, here):
    """Trains; returns splits, history and metrics for `run_folder.finish`."""
    keras.utils.set_random_seed(recipe.seed)
    splits, notes = prepare_data(recipe, progress)
    train_set = splits["train"]
    data = fingerprint(train_set, splits["val"])
    saved = checkpoints.newest(path / "checkpoints") if begun else None
    if saved is not None and saved.data != data:
        raise ValueError(
            "The photos have changed since the run began. Received: "
            f"{len(train_set)} training and {len(splits['val'])} validation "
            f"photos, another set than that of {str(path)!r}. Start a new "
            "run, or put the photos back."
        )
    plan = NPairPlan(
        train_set.labels,
        recipe.classes_per_batch,
        recipe.images_per_class,
        recipe.seed,
    )
    for line in (*plan.rules, *describe(recipe, splits, plan)):
        _log.info(line)
        notes.append(line)
    model = build_model(recipe, train_set.class_names, mamc_loss)
    if saved is None and here.is_chief:
        if begun:
            _log.info("There is no checkpoint to go on from: a new start.")
        run_folder.start(path, recipe, notes)

    prepare = cached_batches if recipe.fast else live_batches
    trained, stream, validation = prepare(recipe, model, splits, progress)
    counts = train_set.class_counts()
    balanced = recipe.class_weights == "balanced"
    class_weights = balanced_weights(counts) if balanced else None
    if here.workers > 1:
        preprocess = trained.preprocess_samples
        stream = workers.shared_out(
            strategy, here, stream, preprocess, class_weights
        )
        class_weights = None
        validation = workers.all_of_it(strategy, validation, preprocess)
    compile_model(trained, recipe, plan.steps_per_epoch, counts)
    best = BestPreset(
        model, trained, path / "preset", recipe.epochs, here.is_chief
    )
    with stop_requests() as request:
        recorder = Recorder(
            path,
            trained,
            data,
            recipe.checkpoint_steps,
            request,
            saved,
            here,
        )
        for part in _parts(saved, recipe.epochs, plan.steps_per_epoch):
            trained.fit(
                stream(plan, part.first_epoch, part.first_step),
                initial_epoch=part.first_epoch,
                epochs=part.last_epoch,
                steps_per_epoch=plan.steps_per_epoch - part.first_step,
                validation_data=validation,
                class_weight=class_weights,
                shuffle=False,  # The plan has mixed the batches already.
                callbacks=[best, recorder],
                verbose=1 if _log.isEnabledFor(logging.INFO) else 0,
            )
    metrics = {**best.metrics, "seconds": round(recorder.elapsed)}
    return splits, recorder.columns(), metrics


@dataclasses.dataclass(frozen=True)
class _Part:
    first_epoch: int
    first_step: int
    last_epoch: int


def _parts(saved, epochs, steps_per_epoch):
    """The calls of `fit`: the rest of a broken epoch, then whole epochs."""
    epoch = saved.epoch if saved else 0
    if saved and saved.step:
        yield _Part(epoch, saved.step, epoch + 1)
        epoch += 1
    if epoch < epochs:
        yield _Part(epoch, 0, epochs)


def _best_model(path, recipe):
    preset = str(path / "preset")
    return MAMCImageClassifier.from_preset(preset, dtype=recipe.dtype)
