"""What is pushed to a hub: whole, with its card, and loadable."""

import json
import shutil

import h5py
import huggingface_hub
import kagglehub
import numpy as np
import pytest
from PIL import Image
from small import batch
from small import encoder

from mamc_keras import MAMCImageClassifier
from mamc_keras.cli import main
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.files import write_json
from mamc_keras.sharing.half_precision import halve_weights
from mamc_keras.sharing.push import check_handle

SCALE = {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)}
NAMES = ("ant", "b|ee", "cow", "dog")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    model = MAMCImageClassifier(
        encoder(), 4, SCALE, embedding_dim=8, class_names=NAMES
    )
    folder = tmp_path_factory.mktemp("shared") / "run" / "preset"
    model.save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def run(preset):
    """A run folder with everything that a card reads."""
    run = preset.parent
    write_json(preset / "training.json", {"epoch": 3})
    recipe = {"source": "/home/me/photos", "exclude": "/home/x", "seed": 7}
    write_json(run / "recipe.json", recipe)
    write_json(run / "environment.json", {"keras": "3.15.1", "commit": "abc"})
    (run / "data.txt").write_text(
        "train: 9 images.\nA near copy, 1 file: /home/me/a.jpg = /home/me/b.jpg"
    )
    write_json(run / "export" / "parity.json", {"model.tflite": None})
    (run / "export" / "model.tflite").write_bytes(b"TFL3")
    labels = np.arange(8) % 4
    logits = 4.0 * np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 0]]
    table = Predictions(
        [f"{i}.jpg" for i in range(8)], labels, logits, logits[:, None], NAMES
    )
    table.save(run / "evaluation-test")
    measures = {"images": 8, "top1": 0.875, "nll": 0.5, "ece": 0.06}
    write_json(run / "evaluation-test" / "metrics.json", measures)
    return run


class Hub:
    """Stands where the clients of the two hubs stand, and keeps what comes."""

    def __init__(self, monkeypatch, folder):
        self.files, self.calls, self.folder = set(), [], folder
        self.asked = set()
        for name in (
            *("create_repo", "upload_file", "file_exists"),
            "hf_hub_download",
        ):
            monkeypatch.setattr(huggingface_hub, name, getattr(self, name))
        monkeypatch.setattr(huggingface_hub, "upload_folder", self.keep)
        monkeypatch.setattr(kagglehub, "model_upload", self.kaggle)

    def create_repo(self, repo_id, exist_ok):
        assert exist_ok
        self.calls.append(("create", repo_id))
        return huggingface_hub.RepoUrl(
            f"https://huggingface.co/{repo_id}", endpoint=None
        )

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id):
        self.files.add(path_in_repo)
        self.calls.append(("file", repo_id))

    def file_exists(self, repo_id, filename):
        return filename in self.files

    def hf_hub_download(self, repo_id, filename):
        assert repo_id == "me/animals"
        self.asked.add(filename)
        if not (self.folder / filename).exists():
            raise FileNotFoundError(filename)
        return str(self.folder / filename)

    def keep(self, repo_id, folder_path):
        self.calls.append(("folder", repo_id))
        shutil.copytree(folder_path, self.folder, dirs_exist_ok=True)

    def kaggle(self, handle, folder):
        self.calls.append(("kaggle", handle))
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    return Hub(monkeypatch, tmp_path / "hub")


def push(*arguments):
    main(["push", *map(str, arguments)])


def test_dry_run_shows_the_folder_and_sends_nothing(run, hub, tmp_path, capsys):
    out = tmp_path / "animals"
    push(run, "hf://me/animals", "--out", out, "--dry-run")
    names = {file.name for file in out.iterdir()}
    assert {"README.md", "labels.txt", "model.tflite", "task.json"} <= names
    assert "training.json" not in names
    said = capsys.readouterr().out
    assert all(f"wrote {out / name}" in said for name in names)
    assert "nothing was sent" in said and not hub.calls


def test_pushed_to_hugging_face_and_used_from_there(run, hub, tmp_path, capsys):
    out = tmp_path / "animals"
    terms = "Animals, https://example.org, CC0"
    push(
        *(run, "hf://me/animals", "--out", out, "--license", "cc0-1.0"),
        *("--data", terms),
    )
    # The card first: KerasHub writes its own where there is none.
    assert hub.calls == [
        ("create", "me/animals"),
        ("file", "me/animals"),
        ("create", "me/animals"),
        ("folder", "me/animals"),
    ]
    card = (hub.folder / "README.md").read_text("utf-8")
    head = card.split("---")[1]
    assert "pipeline_tag: image-classification" in head
    assert "library_name: keras-hub" in head and "license: cc0-1.0" in head
    assert terms in card and "| top-1, % | 87.5 |" in card
    assert "| b\\|ee | 2 | 100 | 100 |" in card
    assert "- 1 photos of dog were taken for ant" in card
    assert "| 90 to 100 % | 8 | 94.8 | 87.5 |" in card
    assert "/home" not in card and "near copy" in card
    assert card == (out / "README.md").read_text("utf-8")
    loaded = MAMCImageClassifier.from_preset(hub.folder)
    assert loaded.class_names == NAMES
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((40, 50, 3), 99, np.uint8)).save(photo)
    capsys.readouterr()
    main(["predict", "hf://me/animals", str(photo), "--top", "4"])
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)
    # Fetched by us, because KerasHub does not know of them.
    assert {"calibration.json", "prototypes.npy"} <= hub.asked
    picture = tmp_path / "attention.png"
    main(["explain", "hf://me/animals", str(photo), "--out", str(picture)])
    assert picture.exists()


def test_pushed_to_kaggle(preset, hub, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(preset, bare)
    out = tmp_path / "out"
    push(bare, "kaggle://me/animals/keras/small", "--out", out)
    assert hub.calls == [("kaggle", "me/animals/keras/small")]
    card = (hub.folder / "README.md").read_text("utf-8")
    assert "# animals" in card and "Nothing was measured" in card
    assert "Not stated" in card and "license:" not in card
    # A card that a person wrote is kept.
    (bare / "README.md").write_text("by hand")
    push(bare, "kaggle://me/animals/keras/small", "--out", out)
    assert (hub.folder / "README.md").read_text() == "by hand"


def test_half_precision_changes_no_answer(preset, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(preset, half)
    halve_weights(half)
    models = [MAMCImageClassifier.from_preset(p) for p in (preset, half)]
    assert {v.dtype for v in models[1].weights} == {"float32"}
    images = batch()[0]
    whole, halved = (model.predict(images, verbose=0) for model in models)
    assert 0 < np.abs(whole - halved).max() < 0.01 * np.abs(whole).max()
    sizes = [
        sum(f.stat().st_size for f in p.glob("*.h5")) for p in (preset, half)
    ]
    assert sizes[1] < sizes[0]
    with h5py.File(half / "model.weights.h5") as file:
        items = []
        file.visititems(lambda _, item: items.append(item))
        kinds = {
            (item.ndim > 1, str(item.dtype))
            for item in items
            if isinstance(item, h5py.Dataset)
        }
    assert kinds == {(True, "float16"), (False, "float32")}
    model = models[0]
    model.output_dense.kernel.assign(model.output_dense.kernel + 1e5)
    model.save_to_preset(tmp_path / "large")
    with pytest.raises(ValueError, match="does not fit into float16"):
        halve_weights(tmp_path / "large")
    MAMCImageClassifier.from_preset(tmp_path / "large")  # as it was


def test_what_is_wrong_is_said(run, hub, tmp_path, monkeypatch, capsys):
    for handle in ("me/animals", "hf://", "hf://a/b/c", "kaggle://me/animals"):
        with pytest.raises(ValueError, match="no handle of a hub"):
            check_handle(handle)

    def refuse(**_):
        raise RuntimeError("401 Unauthorized")

    monkeypatch.setattr(huggingface_hub, "create_repo", refuse)
    with pytest.raises(SystemExit, match="2"):
        push(run, "hf://me/animals", "--out", tmp_path / "out")
    said = capsys.readouterr().err
    assert "401" in said and "Log in" in said and "out" in said

    def offline(**_):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "create_repo", offline)
    with pytest.raises(SystemExit, match="75"):
        push(run, "hf://me/animals", "--out", tmp_path / "out")


def test_a_full_disk_leaves_the_old_folder(run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    push(run, "hf://me/animals", "--out", out, "--dry-run")
    before = sorted(file.name for file in out.iterdir())

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(SystemExit, match="2"):
        push(run, "hf://me/animals", "--out", out, "--dry-run")
    assert sorted(file.name for file in out.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    json.loads((out / "task.json").read_text())
