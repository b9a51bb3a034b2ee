"""Classes are added, dropped and renamed; what stays is as before."""

import numpy as np
import pytest
from small import batch
from small import encoder

from mamc_keras import MAMCImageClassifier
from mamc_keras import cli

SCALE = {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)}
NAMES = ("ant", "bee", "cow", "dog")


@pytest.fixture(scope="module")
def model():
    model = MAMCImageClassifier(
        encoder(), 4, SCALE, embedding_dim=8, class_names=NAMES
    )
    images, labels = batch()
    model.compile(optimizer="adam")
    model.fit(images, labels, epochs=2, verbose=0)
    return model


def logits(model):
    return model.predict(batch()[0], verbose=0)


def test_added_classes_leave_the_others_as_they_were(model):
    grown = model.add_classes(["eel", "fly"])
    assert grown.class_names == (*NAMES, "eel", "fly")
    np.testing.assert_array_equal(logits(grown)[:, :4], logits(model))
    assert np.ptp(logits(grown)[:, 4:]) > 0
    images = batch()[0]
    np.testing.assert_array_equal(grown.embed(images), model.embed(images))


def test_dropped_classes_are_gone_and_the_order_is_kept(model):
    left = model.drop_classes(["bee"])
    assert left.class_names == ("ant", "cow", "dog")
    np.testing.assert_array_equal(logits(left), logits(model)[:, [0, 2, 3]])
    with pytest.raises(ValueError, match="two classes"):
        model.drop_classes(["ant", "bee", "cow"])


def test_renamed_classes_are_the_same(model):
    # Swapped names: the row goes with the old name.
    new = model.rename_classes({"ant": "bee", "bee": "ant", "dog": "Hund"})
    assert new.class_names == ("bee", "ant", "cow", "Hund")
    np.testing.assert_array_equal(logits(new), logits(model))


def test_rows_follow_their_names(model):
    names = ("zoo", "dog", "ant")
    other = model.with_classes(class_names=names)
    np.testing.assert_array_equal(
        logits(other)[:, 1:], logits(model)[:, [3, 0]]
    )
    afresh = model.with_classes(class_names=NAMES, reset_osme=True)
    assert np.abs(logits(afresh) - logits(model)).max() > 1e-3
    numbered = model.with_classes(num_classes=4)
    assert np.abs(logits(numbered) - logits(model)).max() > 1e-3


def test_wrong_names_get_a_clear_sentence(model):
    with pytest.raises(ValueError, match=r"\['bee'\] are known"):
        model.add_classes(["bee", "fly"])
    with pytest.raises(ValueError, match="each given once"):
        model.add_classes(["fly", "fly"])
    with pytest.raises(ValueError, match="no such classes.*'gnu'"):
        model.drop_classes(["gnu"])
    with pytest.raises(ValueError, match="one name"):
        model.rename_classes({"ant": "bee"})
    with pytest.raises(ValueError, match="not known"):
        model.with_classes()
    unnamed = model.with_classes(num_classes=3)
    with pytest.raises(ValueError, match="no class names"):
        unnamed.add_classes(["fly"])


def test_command(model, tmp_path, capsys):
    model.save_to_preset(tmp_path / "old")
    cli.main(["classes", str(tmp_path / "old")])
    assert capsys.readouterr().out.split() == list(NAMES)
    out = tmp_path / "new"
    cli.main(
        [
            *("classes", str(tmp_path / "old"), "--out", str(out)),
            *("--rename", "ant=Ameise", "--drop", "bee", "--add", "fly"),
        ]
    )
    loaded = MAMCImageClassifier.from_preset(out)
    assert loaded.class_names == ("Ameise", "cow", "dog", "fly")
    np.testing.assert_allclose(
        logits(loaded)[:, :3], logits(model)[:, [0, 2, 3]], atol=1e-6
    )
    for wrong in (["--add", "fly"], ["--out", "x"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(["classes", str(tmp_path / "old"), *wrong])
    with pytest.raises(SystemExit, match="2"):
        cli.main(
            ["classes", str(tmp_path / "old"), "--rename", "a", "--out", "x"]
        )
    assert "OLD=NEW" in capsys.readouterr().err
