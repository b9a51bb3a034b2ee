"""Fixtures that several tests use, and the rule for the shared photos."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture(scope="session")
def shared():
    """Folder with real photos and weights beside a developer's checkout."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MAMC_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(
            "The photos beside a developer's checkout are not on this "
            "machine. Set MAMC_SHARED to their folder to run this test."
        )
    return folder


@pytest.fixture(autouse=True)
def _cache_in_test_folder(tmp_path_factory, monkeypatch):
    """No test touches the user's own feature cache."""
    folder = tmp_path_factory.getbasetemp() / "feature_cache"
    monkeypatch.setenv("MAMC_KERAS_CACHE", str(folder))


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """Three classes of small JPEGs that differ in colour, 12 of each."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("photos")
    colours = {"red_cup": (200, 40, 40), "green_cup": (40, 200, 40)}
    for name, colour in {**colours, "blue_cup": (40, 40, 200)}.items():
        (root / name).mkdir()
        for i in range(12):
            pixels = rng.normal(colour, 40, (80, 96, 3)).clip(0, 255)
            image = Image.fromarray(pixels.astype("uint8"))
            image.save(root / name / f"{i:02d}.jpg")
    return root


@pytest.fixture(scope="session")
def trained_run(photo_folder, tmp_path_factory):
    """A run of the command line in fast mode, made once for many tests."""
    from mamc_keras.cli import main

    folder = tmp_path_factory.mktemp("run")
    cache = str(tmp_path_factory.getbasetemp() / "feature_cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMC_KERAS_CACHE", cache)
        main(
            [
                "train",
                str(photo_folder),
                *("--run-dir", str(folder / "run")),
                *("--image-size", "64", "64", "--embedding-dim", "16"),
                *("--epochs", "3", "--cached-views", "2"),
                *("--validation-fraction", "0.3"),
            ]
        )
    return folder / "run"
