"""TFDS offline: small builders of our own, really written and read."""

import io

import numpy as np
import pytest
from PIL import Image

from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source

tfds = pytest.importorskip("tensorflow_datasets")
pytestmark = pytest.mark.filterwarnings("ignore")  # TFDS 4.9 warns a lot


def photo(seed, suffix="JPEG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, suffix)
    return buffer.getvalue()


class MamcToyBirds(tfds.core.GeneratorBasedBuilder):
    """Train and test, awkward class names, a box that must not be decoded."""

    VERSION = tfds.core.Version("1.2.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "label": tfds.features.ClassLabel(
                        names=["wren", "owl/eagle", "ant"]
                    ),
                    "bbox": tfds.features.BBoxFeature(),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self.examples(0, 12), "test": self.examples(50, 6)}

    def _generate_examples(self):
        raise NotImplementedError

    def examples(self, start, count):
        for i in range(start, start + count):
            # In the test split one photo has no class, as TFDS writes it.
            secret = start > 0 and i == start
            yield (
                i,
                {
                    "image": io.BytesIO(photo(i, "PNG" if i % 2 else "JPEG")),
                    "label": -1 if secret else i % 3,
                    "bbox": tfds.features.BBox(0.1, 0.1, 0.5, 0.5),
                },
            )


class MamcToyFlowers(MamcToyBirds):
    """A single split."""

    def _split_generators(self, dl_manager):
        return {"train": self.examples(0, 30)}


class MamcToyDigits(MamcToyBirds):
    """No split called train."""

    def _split_generators(self, dl_manager):
        return {"everything": self.examples(0, 3)}


class MamcToyText(tfds.core.GeneratorBasedBuilder):
    """Not a data set of images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
        )

    def _split_generators(self, dl_manager):
        raise NotImplementedError

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    # What the environment variable TFDS_DATA_DIR sets when TFDS is imported.
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_builder_becomes_class_folders(data_dir):
    splits = open_source("tfds:mamc_toy_birds", validation_fraction=0)
    folder = data_dir / "mamc_folders" / "mamc_toy_birds" / "1.2.0"
    assert splits["train"].paths[0].startswith(str(folder / "train" / "ant"))
    assert splits["train"].class_names == ("ant", "owl_eagle", "wren")
    assert splits["train"].class_counts().tolist() == [4, 4, 4]
    # One of the six test photos has no label.
    assert splits["test"].class_counts().tolist() == [1, 2, 2]
    # The very bytes, with the right suffix and label.
    originals = {photo(i, "PNG" if i % 2 else "JPEG"): i for i in range(12)}
    for path, label in zip(
        splits["train"].paths, splits["train"].labels, strict=True
    ):
        with open(path, "rb") as file:
            number = originals.pop(file.read())
        assert path.endswith(".png" if number % 2 else ".jpg")
        assert label == [2, 1, 0][number % 3]
    assert not originals
    report = check_source(splits)
    assert all(len(report.clean[name]) == len(splits[name]) for name in splits)


def test_a_single_split_is_divided(data_dir):
    splits = open_source("tfds:mamc_toy_flowers:1.2.0")
    assert [len(s) for s in splits.values()] == [22, 2, 6]


def test_a_finished_folder_is_used_again(data_dir, monkeypatch):
    first = open_source("tfds:mamc_toy_birds")

    def fail(*args, **kwargs):
        raise RuntimeError("must not be called")

    monkeypatch.setattr(MamcToyBirds, "download_and_prepare", fail)
    assert open_source("tfds:mamc_toy_birds")["train"].paths == (
        first["train"].paths
    )


def test_a_broken_call_leaves_nothing_behind(data_dir, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            "mamc_keras.data.formats.tfds_source._write_split",
            lambda *args: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            open_source("tfds:mamc_toy_birds")
    parent = data_dir / "mamc_folders" / "mamc_toy_birds"
    assert list(parent.iterdir()) == []
    assert len(open_source("tfds:mamc_toy_birds")["test"]) == 5


def test_says_what_is_wrong(data_dir):
    with pytest.raises(ValueError, match="no split 'train'.*'everything'"):
        open_source("tfds:mamc_toy_digits")
    with pytest.raises(ValueError, match="Received: the features .'text'"):
        open_source("tfds:mamc_toy_text")
