"""New classes from a few photos: the formula, the undo, and bad input."""

import json
import logging
import math

import numpy as np
import pytest
from exported import NAMES
from exported import photos
from exported import trained
from PIL import Image

from mamc_keras import MAMCImageClassifier
from mamc_keras import cli
from mamc_keras.models import prototypes
from mamc_keras.models.few_photos import known_of_run
from mamc_keras.models.prototypes import new_rows
from mamc_keras.models.teach import teach

NEW = ("black",)
COLOURS = {"black": (20, 20, 20)}


def coloured(colour, count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(colour, 25, (count, 32, 32, 3)).clip(0, 255)


def few(count=5):
    return {name: coloured(COLOURS[name], count) for name in NEW}


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def mean(rows):
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def minus(a, b, factor=1.0):
    return [x - factor * y for x, y in zip(a, b, strict=True)]


def naive_rows(rows, bias, classes, known, margin):
    """docs/teach.md in plain loops; `rows` is a list of K lists."""
    middle = mean(rows)
    apart = [minus(row, middle) for row in rows]
    length = sum(math.sqrt(dot(a, a)) for a in apart) / len(apart)
    basis = []  # Gram-Schmidt
    for a in apart:
        for _ in range(2):
            for e in basis:
                a = minus(a, e, dot(a, e))
        if math.sqrt(dot(a, a)) > 1e-9:
            basis.append([x / math.sqrt(dot(a, a)) for x in a])

    def own(x):
        if known is not None:
            return minus(x, mean(known))
        rest = x
        for e in basis:
            rest = minus(rest, e, dot(rest, e))
        return minus(x, rest)

    total, weight = 2 * 0.65, 2.0
    for part in classes:
        n = len(part)
        if n == 1:
            continue
        pairs = alone = 0.0
        for i in range(n):
            alone += dot(own(part[i]), own(part[i])) / n
            for j in range(n):
                if i != j:
                    pairs += dot(own(part[i]), own(part[j])) / n / (n - 1)
        total += (n - 1) * pairs / alone
        weight += n - 1
    share = min(max(total / weight, 0.05), 1.0)
    rivals = [
        [max(dot(x, row) + b for row, b in zip(rows, bias, strict=True))
         for x in part]
        for part in classes
    ]  # fmt: skip
    every = sum(sum(r) / len(r) for r in rivals) / len(rivals)
    columns, biases = [], []
    for part, found in zip(classes, rivals, strict=True):
        n = len(part)
        d = own(mean(part))
        size = math.sqrt(dot(d, d))
        unit = [x / size for x in d]
        # The logit that a new photo of the class would have without a bias:
        # its own part is shorter than that of the part the row is made of.
        kept = share / (share + (1 - share) / n)
        unseen = minus(mean(part), d, 1 - kept)
        rival = (sum(found) + 2 * every) / (n + 2)
        scale = 0.7 * length
        if known is not None:
            scale = max(scale, (rival + margin - 2 / n) / (kept * size))
        row = [w + scale * e for w, e in zip(middle, unit, strict=True)]
        logit = dot(mean(part), middle) + scale * dot(unseen, unit)
        columns.append(row)
        biases.append(rival + margin - 2 / n - logit)
    return columns, biases


def case(seed=0, counts=(1, 4, 3)):
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(12, 5))
    bias = rng.normal(size=5)
    shared = rng.normal(size=12) * 2
    centres = rng.normal(size=(len(counts), 12)) + shared
    classes = [
        c + 0.7 * rng.normal(size=(n, 12))
        for c, n in zip(centres, counts, strict=True)
    ]
    # The first class is far away, where all logits are large.
    classes[0] = classes[0] * 4
    return kernel, bias, classes, rng.normal(size=(6, 12)) + shared


def agrees(with_known=False, margin=0.5):
    kernel, bias, classes, known = case()
    known = known if with_known else None
    columns, biases = new_rows(kernel, bias, classes, known, margin)
    expected, their_biases = naive_rows(
        kernel.T.tolist(),
        bias.tolist(),
        [part.tolist() for part in classes],
        None if known is None else known.tolist(),
        margin,
    )
    return np.allclose(columns.T, expected, atol=1e-9) and np.allclose(
        biases, their_biases, atol=1e-9
    )


@pytest.mark.parametrize("with_known", [False, True])
@pytest.mark.parametrize("margin", [0.5, -2.0])
def test_rows_are_those_of_the_formula(with_known, margin):
    assert agrees(with_known, margin)


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("centred", lambda x, apart, known=None: x),
        ("centred", lambda x, apart, known=None: x - x.mean(axis=0)),
        ("likeness", lambda x: 1.0),
        ("pooled_share", lambda own: 1.0),
        ("SCALE", 1.0),
        ("ALIKE", 0.5),
        ("WEIGHT", 0),
        ("FEW", 0.0),
    ],
)
def test_mutations_fail(monkeypatch, name, mutant):
    monkeypatch.setattr(prototypes, name, mutant)
    assert not agrees()


def test_logit_is_the_rivals_plus_the_margin():
    kernel, bias, _, _ = case()
    photo = np.random.default_rng(5).normal(size=(1, 12))
    # Photos all alike: a new one is like them, and nothing is chance.
    columns, biases = new_rows(kernel, bias, [photo.repeat(60, axis=0)])
    rival = (photo @ kernel + bias).max()
    assert (photo @ columns + biases)[0, 0] == pytest.approx(
        rival + prototypes.MARGIN, abs=0.1
    )


def test_new_classes_are_found_and_old_ones_kept():
    model = trained()
    images, labels = photos()
    before = model.predict(images, verbose=0)
    taught = teach(model, few(), images[::4])
    assert taught.class_names == (*NAMES, *NEW)
    after = taught.predict(images, verbose=0)
    np.testing.assert_allclose(after[:, :4], before, atol=1e-6)
    kept = (after.argmax(1) == labels).mean()
    assert kept >= (before.argmax(1) == labels).mean() - 0.1
    for i, name in enumerate(NEW, start=4):
        unseen = coloured(COLOURS[name], 8, seed=9)
        answers = taught.predict(unseen, verbose=0).argmax(1)
        assert (answers == i).mean() >= 0.75


def test_drop_undoes_it_bit_for_bit():
    model = trained()
    taught = teach(model, few(1))
    undone = taught.drop_classes(NEW)
    assert undone.class_names == model.class_names
    for old, new in zip(model.get_weights(), undone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    images, _ = photos()
    np.testing.assert_array_equal(
        undone.predict(images, verbose=0), model.predict(images, verbose=0)
    )


def test_warnings(caplog):
    model = trained()
    with caplog.at_level(logging.WARNING, "mamc_keras"):
        teach(model, few(1))
    assert "One photo of 'black' is little" in caplog.text
    assert "4 classes says little" in caplog.text
    caplog.clear()
    mixed, _ = photos(2, seed=3)
    with caplog.at_level(logging.WARNING, "mamc_keras"):
        teach(model, {"mixed": mixed}, photos(seed=4)[0])
    assert "hardly look alike" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "mamc_keras"):
        teach(model, few(5), photos(seed=4)[0])
    assert not caplog.text


def test_names_and_photos_must_be_there():
    with pytest.raises(ValueError, match="are known"):
        teach(trained(), {NAMES[0]: coloured((1, 2, 3), 2)})
    with pytest.raises(ValueError, match="none for .*'empty'"):
        teach(trained(), {"empty": ()})
    with pytest.raises(ValueError, match="each given once"):
        teach(trained(), {})


def write(folder, count=3):
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i, pixels in enumerate(coloured(colour, count)):
            image = Image.fromarray(pixels.astype("uint8"))
            image.save(folder / name / f"{i}.png")


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        cli.main([str(a) for a in arguments])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert "Received: " in message
    return message


def test_command(tmp_path, capsys):
    trained().save_to_preset(tmp_path / "old")
    write(tmp_path / "new")
    out = tmp_path / "taught"
    known = tmp_path / "known"
    known.mkdir()
    (known / "broken.jpg").write_bytes(b"x")
    for i, pixels in enumerate(photos(2)[0]):
        Image.fromarray(pixels).save(known / f"{i}.png")
    cli.main(
        [
            *("teach", str(tmp_path / "old"), str(tmp_path / "new")),
            *("--out", str(out), "--known", str(known)),
        ]
    )
    assert "black: 3 photos" in capsys.readouterr().out
    taught = MAMCImageClassifier.from_preset(out)
    assert taught.class_names == (*NAMES, *NEW)
    answers = taught.predict(coloured(COLOURS["black"], 4, 8), verbose=0)
    assert (answers.argmax(1) == 4).mean() >= 0.75
    cli.main(
        [
            *("classes", str(out), "--drop", *NEW),
            *("--out", str(tmp_path / "undone")),
        ]
    )
    undone = MAMCImageClassifier.from_preset(tmp_path / "undone")
    for old, new in zip(
        trained().get_weights(), undone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_a_run_knows_its_photos(trained_run, tmp_path):
    from mamc_keras.evaluation.evaluate import load_model

    model = load_model(trained_run)
    known = known_of_run(trained_run, model)
    assert known.shape[1:] == (64, 64, 3) and len(known) > 10
    assert known_of_run(trained_run / "preset", model) is None
    gone = tmp_path / "run"
    gone.mkdir()
    recipe = json.loads((trained_run / "recipe.json").read_text())
    recipe["source"] = str(tmp_path / "nowhere")
    (gone / "recipe.json").write_text(json.dumps(recipe))
    assert known_of_run(gone, model) is None


def test_bad_folders_get_one_sentence(tmp_path, capsys):
    trained().save_to_preset(tmp_path / "old")
    out = "--out", tmp_path / "out"
    folder = tmp_path / "new"
    ask = "teach", tmp_path / "old", folder, *out
    assert "does not exist" in fails(capsys, *ask)
    folder.mkdir()
    assert "holds no folder" in fails(capsys, *ask)
    (folder / "empty").mkdir()
    assert "none for ['empty']" in fails(capsys, *ask)
    (folder / "empty" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(9))
    assert "a.heic" in fails(capsys, *ask)
    (folder / "empty" / "a.heic").unlink()
    (folder / "empty").rmdir()
    write(folder)
    (folder / "black").rename(folder / NAMES[0])
    assert "are known" in fails(capsys, *ask)
    (folder / NAMES[0]).rename(folder / "new")
    known = tmp_path / "known"
    known.mkdir()
    (known / "a.jpg").write_bytes(b"x")
    assert "None of the known" in fails(capsys, *ask, "--known", known)
    assert not (tmp_path / "out").exists()


def test_a_taught_model_is_exported(tmp_path):
    from mamc_keras.export.litert import export_litert
    from mamc_keras.lite import Classifier

    taught = teach(trained(), few(), photos()[0][::4])
    photo = coloured(COLOURS["black"], 1, 7).astype("uint8")
    classifier = Classifier(export_litert(taught, tmp_path / "m.tflite"))
    name, share = classifier.top(photo[0], 1)[0]
    expected = taught.probabilities(photo)[0]
    assert name == taught.class_names[expected.argmax()] == "black"
    assert share == pytest.approx(expected.max(), abs=1e-3)
