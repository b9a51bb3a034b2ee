"""Pictures: that they are written, and that what they say is true."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mamc_keras.evaluation import attention_plot
from mamc_keras.evaluation import drawing
from mamc_keras.evaluation import overlays
from mamc_keras.evaluation import plots
from mamc_keras.evaluation.predictions import Predictions


@pytest.fixture
def figures(monkeypatch):
    """Catches the figures on their way to the files."""
    caught = []
    save = drawing.save

    def catch(figure, path):
        save(figure, path)
        caught.append(figure)

    monkeypatch.setattr(drawing, "save", catch)
    return caught


def texts(axis):
    return [text.get_text() for text in axis.texts]


def size_of(path):
    with Image.open(path) as image:
        image.load()
        pixels = np.asarray(image.convert("RGB"))
        assert pixels.std() > 10  # Not an empty page.
        return image.size


def photo(height=60, width=80, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


HISTORY = {
    "loss": [3.0, 2.0, 1.5],
    "accuracy": [0.3, 0.5, 0.9],
    "sasc": [2.0, 1.0, 0.5],
    "sadc": [2.5, 1.5, 0.9],
    "dasc": [1.0, 0.8, 0.4],
    "val_loss": [2.5, 1.2, 1.4],
    "val_accuracy": [0.4, 0.7, 0.7],
}


# === Learning curves ===


def test_learning_curves(tmp_path, figures):
    plots.learning_curves(tmp_path / "curves.png", HISTORY)
    width, height = size_of(tmp_path / "curves.png")
    assert width > 1000 and height > 300
    loss, terms, accuracy = figures[0].axes
    assert [line.get_label() for line in loss.lines] == [
        "training: cross-entropy + MAMC",
        "validation: cross-entropy",
    ]
    assert [line.get_label() for line in terms.lines] == [
        "SASC",
        "SADC",
        "DASC",
    ]
    assert accuracy.lines[1].get_ydata().tolist() == [40, 70, 70]
    assert accuracy.lines[0].get_xdata().tolist() == [1, 2, 3]
    # Equal accuracy: the epoch with the lower cross-entropy.
    assert accuracy.lines[2].get_label() == "best: epoch 2, 70.0%"
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_learning_curves_of_one_epoch_without_validation(tmp_path, figures):
    history = {"loss": [1.0], "accuracy": [0.5], "learning_rate": [0.1]}
    plots.learning_curves(tmp_path / "curves.png", history)
    loss, accuracy = figures[0].axes
    assert [line.get_label() for line in loss.lines] == ["training"]
    assert loss.lines[0].get_marker() == "o"  # One point is no line.
    assert len(accuracy.lines) == 1


def test_learning_curves_of_a_diverged_run(tmp_path, figures):
    nothing = [np.nan] * 3
    history = {key: nothing for key in HISTORY}
    plots.learning_curves(tmp_path / "curves.png", history)
    history["val_accuracy"] = [np.nan, 0.2, np.nan]
    plots.learning_curves(tmp_path / "curves.png", history)
    assert figures[1].axes[2].lines[2].get_label().startswith("best: epoch 2")
    for empty in ({}, {"loss": []}):
        with pytest.raises(ValueError, match="nothing to draw"):
            plots.learning_curves(tmp_path / "curves.png", empty)


# === Attention ===


@pytest.mark.parametrize("branches, columns", [(1, 2), (2, 4), (3, 7)])
def test_attention_figure(branches, columns, tmp_path, figures):
    maps = np.random.default_rng(0).random((2, branches, 7, 7))
    photos = [photo(), photo(80, 50)]
    titles = ["001.Red_$x$_bird\n93%", "日本 <b>"]
    attention_plot.attention_figure(tmp_path / "a.png", photos, maps, titles)
    size_of(tmp_path / "a.png")
    axes = figures[0].axes
    assert len(axes) == 2 * columns
    assert axes[0].get_xlabel() == "Red $x$ bird\n93%"
    assert axes[columns].get_xlabel() == "日本 <b>"
    heads = [axis.get_title() for axis in axes[:columns]]
    assert heads[1] == "branch 1"
    shares = overlays.share_elsewhere(maps)
    if branches > 1:
        assert axes[-1].get_xlabel().startswith(f"{shares[1]:.1%} of the att")
        assert ("mean" in heads[-1]) == (branches > 2)


def test_what_was_hidden_and_the_neighbours(tmp_path, figures):
    maps = np.random.default_rng(0).random((2, 2, 7, 7))
    photos = [photo(), photo(80, 50)]
    evidence = (maps - 0.5, maps[:, 0] - 0.5, ["1.b_c", "d"])
    hidden = [(photo(), "10% hidden"), (photo(), "again")]
    near = [(photo(), "001.Red_$x$", 0.9, True), (photo(), "b", 0.8, False)]
    neighbours = [[near, near[:1]], [near * 3, near * 2]]  # Uneven.
    attention_plot.attention_figure(
        *(tmp_path / "a.png", photos, maps, ["one\n93%", "two"]),
        *(evidence, hidden, neighbours),
    )
    axes = np.array(figures[0].axes).reshape(4, 10)
    assert axes[0, 7].get_xlabel() == "10% hidden"
    assert axes[0, 7].get_title().startswith("hidden")
    assert "Red $x$" in axes[1, 0].get_xlabel()
    assert "cosine 0.90" in axes[1, 2].get_xlabel()
    assert "branch 2" in axes[1, 2].get_title()
    frames = [axis.spines["top"].get_edgecolor() for axis in axes[1, :2]]
    assert frames[0][1] > frames[0][0] and frames[1][0] > frames[1][1]
    assert axes[3, 9].get_xlabel()


def test_attention_figure_checks_its_arguments(tmp_path):
    maps = np.ones((1, 2, 7, 7))
    for photos, titles in (([photo()], []), ([], []), ([photo()] * 2, ["a"])):
        with pytest.raises(ValueError, match="Received"):
            attention_plot.attention_figure(
                tmp_path / "a.png", photos, maps, titles
            )
    with pytest.raises(ValueError, match="0 photos"):
        attention_plot.attention_figure(tmp_path / "a.png", [], maps[:0], [])
    assert not list(tmp_path.iterdir())


def test_maps_that_show_nothing(tmp_path):
    maps = np.stack([np.zeros((2, 7, 7)), np.ones((2, 7, 7))])
    attention_plot.attention_figure(
        tmp_path / "a.png", [photo(), photo()], maps, ["zero", "even"]
    )
    np.testing.assert_array_equal(overlays.differences(maps), 0)
    np.testing.assert_array_equal(overlays.share_elsewhere(maps), 0)


def test_differences_compare_shares_of_attention():
    rng = np.random.default_rng(0)
    maps = rng.random((3, 4, 5, 6))
    found = overlays.differences(maps)
    shares = maps / maps.sum(axis=(2, 3), keepdims=True) * 30
    np.testing.assert_allclose(
        found, shares - shares.mean(axis=1, keepdims=True)
    )
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-9)
    two = overlays.differences(maps[:, :2])
    np.testing.assert_allclose(two[:, 0], shares[:, 0] - shares[:, 1])
    # A branch that is only hotter looks at the same place.
    louder = maps[:, :1] * [[[[1.0]], [[9.0]]]]
    np.testing.assert_allclose(overlays.differences(louder), 0, atol=1e-9)
    assert overlays.differences(maps[:, :1]).shape == (3, 0, 5, 6)


def test_share_elsewhere_of_known_maps():
    apart = np.zeros((1, 2, 2, 2))
    apart[0, 0, 0, 0] = 5
    apart[0, 1, 1, 1] = 0.1
    assert overlays.share_elsewhere(apart) == 1
    half = np.zeros((1, 2, 2, 2))
    half[0, 0, 0] = 1
    half[0, 1, :, 0] = 1
    assert overlays.share_elsewhere(half) == 0.5
    assert overlays.share_elsewhere(half[:, :1]) == 0


def test_enlarge_is_the_bilinear_resize_of_tensorflow():
    values = np.random.default_rng(0).random((7, 5))
    for size in ((56, 33), (7, 5), (8, 5)):
        expected = tf.image.resize(values[..., None], size)[..., 0]
        found = overlays.enlarge(values, size)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_overlays_keep_the_photo_and_mark_the_place():
    values = np.zeros((6, 8))
    values[1, 2] = 1
    plain = photo()
    warm = overlays.heat(plain, values)
    assert warm.shape == (60, 80, 3) and 0 <= warm.min() <= warm.max() <= 1
    np.testing.assert_allclose(warm[50, 70], plain[50, 70] / 255 * 0.45)
    red = overlays.tint(plain, values, 1.0)
    blue = overlays.tint(plain, -values, 1.0)
    assert red[15, 25, 0] > red[15, 25, 2] + 0.3
    assert blue[15, 25, 2] > blue[15, 25, 0] + 0.3
    assert np.ptp(red[50, 70]) < 1e-9  # grey where nothing differs


# === Confusion ===


def predictions(labels, answers, names):
    logits = np.eye(len(names))[answers]
    embeddings = np.zeros((len(labels), 1, 2))
    paths = ["x"] * len(labels)
    return Predictions(paths, labels, logits, embeddings, names)


def test_confusion_figure_counts_every_photo(tmp_path, figures):
    rng = np.random.default_rng(0)
    names = [f"{k:03d}.Kind_{k}" for k in range(30)]
    labels = rng.integers(0, 30, 600)
    noise = rng.integers(0, 30, 600)
    answers = np.where(rng.random(600) < 0.8, labels, noise)
    answers[labels == 4] = 5  # The worst: always taken for the next.
    plots.confusion_figure(
        tmp_path / "c.png", predictions(labels, answers, names), worst=6
    )
    width, height = size_of(tmp_path / "c.png")
    (axis,) = figures[0].axes
    rows = [tick.get_text() for tick in axis.get_yticklabels()]
    columns = [tick.get_text() for tick in axis.get_xticklabels()]
    assert rows[0] == f"Kind 4 ({(labels == 4).sum()})"
    assert columns[:2] == ["Kind 4", "Kind 5"]
    assert len(rows) == 6 and columns[6] == "any other class"
    written = {
        tuple(map(int, text.get_position())): int(text.get_text())
        for text in axis.texts
    }
    assert written[1, 0] == (labels == 4).sum()  # column 1, row 0
    for row, text in enumerate(rows):
        total = sum(n for (_, y), n in written.items() if y == row)
        assert text.endswith(f"({total})")
    share = (labels == answers).mean()
    assert f"{share:.1%}" in axis.get_title(loc="right")
    assert "30 classes" in axis.get_title(loc="right")


def test_confusion_figure_without_mistakes_and_with_few_classes(
    tmp_path, figures
):
    right = predictions([0, 1, 1], [0, 1, 1], ["a", "b", "unused"])
    plots.confusion_figure(tmp_path / "c.png", right)
    rows = [t.get_text() for t in figures[0].axes[0].get_yticklabels()]
    assert rows == ["a (1)", "b (2)"]
    with pytest.raises(ValueError, match="worst=1"):
        plots.confusion_figure(tmp_path / "c.png", right, worst=1)
    empty = Predictions([], [], np.zeros((0, 2)), np.zeros((0, 1, 1)), "ab")
    with pytest.raises(ValueError, match="0 photos"):
        plots.confusion_figure(tmp_path / "d.png", empty)
    assert not (tmp_path / "d.png").exists()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("00.Golden-Delicious", "Golden-Delicious"),
        ("7", "7"),
        ("2012", "2012"),
        ("12_", "12"),
        ("BMW_3_Series_2012", "BMW 3 Series 2012"),
        ("_", "_"),
        ("x" * 60, "x" * 48 + "…"),
    ],
)
def test_readable_name(name, expected):
    assert drawing.readable_name(name) == expected


# === All ===


def test_pyplot_is_never_loaded(tmp_path):
    script = """
import sys, numpy as np
from mamc_keras.evaluation import attention_plot
from mamc_keras.evaluation import plots
plots.learning_curves(sys.argv[1], {"loss": [1.0, 2.0]})
attention_plot.attention_figure(sys.argv[1], [np.zeros((9, 9, 3), np.uint8)],
                       np.ones((1, 2, 3, 3)), ["a"])
loaded = {"matplotlib.pyplot", "tensorflow", "keras"} & set(sys.modules)
assert not loaded, loaded
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path / "x.png")],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_an_old_picture_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_text("old")

    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(plots.Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space"):
        plots.learning_curves(path, HISTORY)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_real_birds(shared, tmp_path):
    from mamc_keras.data.pipeline import load_image

    test = shared / "data" / "cub50" / "test"
    paths = sorted(test.rglob("*.jpg"))[::500]
    photos = [load_image(str(p), (96, 96)).numpy() for p in paths]
    maps = np.random.default_rng(0).random((len(photos), 2, 3, 3))
    attention_plot.attention_figure(
        tmp_path / "a.png", photos, maps, [p.parent.name for p in paths]
    )
    width, height = size_of(tmp_path / "a.png")
    assert width > 800 and height > 250 * len(photos)
