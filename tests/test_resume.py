"""A run that was stopped goes on as if it never had been."""

import dataclasses
import json
import os
import re
import signal
import threading

import keras
import numpy as np
import pytest
import small

from mamc_keras import Recipe
from mamc_keras import train
from mamc_keras.cli import main
from mamc_keras.files import recover
from mamc_keras.stopping import stop_requests
from mamc_keras.training import build
from mamc_keras.training import checkpoints
from mamc_keras.training.recorder import Recorder

SMALL = Recipe(
    image_size=(64, 64),
    embedding_dim=16,
    epochs=3,
    classes_per_batch=2,
    checkpoint_steps=3,
)


@pytest.fixture(scope="module")
def recipe(photo_folder):
    return dataclasses.replace(SMALL, source=str(photo_folder))


@pytest.fixture(scope="module", autouse=True)
def _small_backbone():
    """A network that takes no time; nothing here depends on which it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            build,
            "load_backbone",
            lambda *_: (small.encoder(64), {"scale": 1 / 255}),
        )
        yield


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The run that nobody stopped."""
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMC_KERAS_CACHE", str(base / "feature_cache"))
        return train(recipe, tmp_path_factory.mktemp("whole"))


def stop_at(monkeypatch, epoch, step):
    """Sends SIGTERM during one step."""
    on_train_batch_end = Recorder.on_train_batch_end

    def send(self, batch, logs=None):
        if (self.epoch, self.first_step + batch) == (epoch, step):
            os.kill(os.getpid(), signal.SIGTERM)
        on_train_batch_end(self, batch, logs)

    monkeypatch.setattr(Recorder, "on_train_batch_end", send)


def assert_same_run(one, other):
    for x, y in zip(one.model.weights, other.model.weights, strict=True):
        np.testing.assert_array_equal(x, y)
    assert one.history == other.history
    without_time = [
        {k: v for k, v in run.metrics.items() if k != "seconds"}
        for run in (one, other)
    ]
    assert without_time[0] == without_time[1]
    for name in ("history.csv", "preset/training.json", "recipe.json"):
        files = [(run.path / name).read_text() for run in (one, other)]
        assert files[0] == files[1]


def test_stopped_in_an_epoch_and_resumed(
    recipe, whole, tmp_path, monkeypatch, capsys
):
    """Bit for bit: weights, history, best epoch; schedule and dropout too."""
    path = tmp_path / "run"
    command = [
        "train",
        recipe.source,
        *("--run-dir", str(path), "--resume"),
        *("--image-size", "64", "64", "--embedding-dim", "16"),
        *("--epochs", "3", "--classes-per-batch", "2"),
        *("--checkpoint-steps", "3"),
    ]
    with monkeypatch.context() as patch:
        stop_at(patch, 1, 4)
        with pytest.raises(SystemExit) as stopped:
            main(command)
    assert stopped.value.code == 128 + signal.SIGTERM
    said = "".join(capsys.readouterr().out.splitlines())
    assert f"mamc train {path} --resume" in said
    saved = checkpoints.newest(path / "checkpoints")
    assert (saved.epoch, saved.step) == (1, 5)
    assert len(list((path / "checkpoints").iterdir())) == checkpoints.KEPT
    assert not (path / "metrics.json").exists()

    other = dataclasses.replace(saved, step=6, data="of other photos")
    file = checkpoints.write(tmp_path / "other", other)
    file = file.rename(path / "checkpoints" / file.name)
    with pytest.raises(ValueError, match="photos have changed"):
        train(recipe, path, resume=True)
    file.unlink()

    # The newest is damaged in the middle; a killed writer left its folder.
    newest = path / "checkpoints" / "epoch-00001-step-00000005.npz"
    with newest.open("r+b") as stream:
        stream.seek(newest.stat().st_size // 2)
        stream.write(b"\xff" * 64)
    (path / ".preset.abcdefgh").mkdir()
    (path / "preset").rename(path / ".preset.abcdefgh" / ".old")
    saved = checkpoints.newest(path / "checkpoints")
    assert (saved.epoch, saved.step) == (1, 3)

    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(
            Recorder, "on_train_batch_begin", lambda *_, **__: steps.append(1)
        )
        main(["train", str(path), "--resume"])
    per_epoch = int(
        re.search(r"(\d+) steps", (path / "data.txt").read_text())[1]
    )
    assert len(steps) == 2 * per_epoch - 3
    # A scheduler repeats its command: nothing is left to do.
    main(command)
    again = train(recipe, path, resume=True)
    assert_same_run(again, whole)
    assert not list(path.glob(".*")) and not (path / "checkpoints").exists()


def test_what_is_not_resumed(recipe, whole):
    other = dataclasses.replace(recipe, epochs=5)
    with pytest.raises(ValueError, match="epochs=5 instead of 3"):
        train(other, whole.path, resume=True)
    # How it is carried out may change.
    same = dataclasses.replace(recipe, checkpoint_steps=9)
    assert_same_run(train(same, whole.path, resume=True), whole)
    for wrong in (
        ["train", recipe.source, "--resume"],
        ["train", str(whole.path), "--resume", "--epochs", "9"],
    ):
        with pytest.raises(SystemExit) as refused:
            main(wrong)
        assert refused.value.code == 2


def small_model(dtype, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", dtype=dtype),
            keras.layers.Dropout(0.5, dtype=dtype),
            keras.layers.Dense(3, dtype=dtype),
        ]
    )
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.05, 20), **options
    )
    if dtype == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize(
    "dtype, options",
    [
        ("float32", {}),
        ("mixed_float16", {}),
        ("float32", {"use_ema": True}),
        ("float32", {"gradient_accumulation_steps": 3}),
    ],
)
def test_a_snapshot_holds_all_that_a_step_needs(dtype, options):
    """Loss scale, averages, half-summed gradients and dropout's generator."""
    rng = np.random.default_rng(0)
    batches = [
        (rng.normal(size=(6, 4)), rng.integers(3, size=6)) for _ in range(9)
    ]
    model = small_model(dtype, **options)
    for x, y in batches[:4]:
        model.train_on_batch(x, y)
    arrays = checkpoints.snapshot(model, metrics=False)
    for x, y in batches[4:]:
        model.train_on_batch(x, y)
    other = small_model(dtype, **options)
    checkpoints.restore(other, arrays)
    for x, y in batches[4:]:
        other.train_on_batch(x, y)
    ends = [checkpoints.snapshot(m, metrics=False) for m in (model, other)]
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name], name)
    assert any((arrays[n] != ends[0][n]).any() for n in arrays)


def test_a_checkpoint_of_another_model(tmp_path):
    arrays = checkpoints.snapshot(small_model("float32"), metrics=False)
    arrays["weight-0"] = np.zeros((4, 9))
    with pytest.raises(ValueError, match="another model"):
        checkpoints.restore(small_model("float32"), arrays)
    del arrays["weight-0"]
    with pytest.raises(ValueError, match="another model"):
        checkpoints.restore(small_model("float32"), arrays)


def test_no_checkpoint_or_only_damaged_ones(tmp_path, caplog):
    assert checkpoints.newest(tmp_path / "none") is None
    (tmp_path / "epoch-00001-step-00000000.npz").write_bytes(b"half")
    (tmp_path / "epoch-00000-step-00000007.npz").write_bytes(b"")
    with caplog.at_level("WARNING", "mamc_keras"):
        assert checkpoints.newest(tmp_path) is None
    assert caplog.text.count("damaged") == 2


def test_a_full_disk_keeps_the_older_checkpoints(tmp_path, monkeypatch):
    state = checkpoints.Checkpoint(0, 1, "data", 1.0, [], {"a": np.ones(3)})
    checkpoints.write(tmp_path, state)

    def full(file, **arrays):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError):
        checkpoints.write(tmp_path, dataclasses.replace(state, step=2))
    assert [f.name for f in tmp_path.iterdir()] == [
        "epoch-00000-step-00000001.npz"
    ]
    assert checkpoints.newest(tmp_path).step == 1


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as request:
        assert request.signum is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signum == signal.SIGTERM
        # The second one ends the process as it always did.
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_signals_in_another_thread_are_left_alone():
    seen = []

    def work():
        with stop_requests() as request:
            seen.append(request.signum)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


def test_recover_keeps_the_newer_one(tmp_path):
    for name in (
        "preset",
        ".preset.abcdefgh/.old",
        ".preset.12345678/x",
        ".best.abcdefgh/.old",
        ".epoch-00001-step-00000002.npz.abcdefgh",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "preset" / "new.json").write_text(json.dumps({}))
    recover(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best", "preset"]
    assert (tmp_path / "preset" / "new.json").exists()
