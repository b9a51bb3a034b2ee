"""Indexes of photos: what is found, what survives a kill, what is refused."""

import importlib.util
import math
import os
import shutil

import numpy as np
import pytest
from exported import trained
from PIL import Image

from mamc_keras import cli
from mamc_keras.data.photo_files import find_photos
from mamc_keras.evaluation.retrieval import normalised
from mamc_keras.evaluation.retrieval import recall_at_k
from mamc_keras.search import Index
from mamc_keras.search import approximate
from mamc_keras.search import build
from mamc_keras.search import build_index
from mamc_keras.search import exact
from mamc_keras.search import search
from mamc_keras.search.photos import embed_files
from mamc_keras.search.photos import fingerprint
from mamc_keras.search.photos import unit_branches

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twelve photos in three folders, two broken files, and a preset."""
    root = tmp_path_factory.mktemp("search")
    rng = np.random.default_rng(3)
    for name, colour in COLOURS.items():
        (root / "photos" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.normal(colour, 30, (40, 48, 3)).clip(0, 255)
            image = Image.fromarray(pixels.astype("uint8"))
            image.save(root / "photos" / name / f"{i}.png")
    (root / "photos" / "broken.jpg").write_bytes(b"no photo")
    whole = (root / "photos" / "red" / "1.png").read_bytes()
    (root / "photos" / "red" / "1cut.png").write_bytes(whole[:300])
    trained().save_to_preset(root / "preset")
    return root


@pytest.fixture(scope="module")
def index(place):
    return build_index(
        place / "preset", place / "photos", place / "index with space"
    )


def loops(vectors, query, top, branch=None):
    """The definition, one number at a time in float64: [(row, cosine)]."""
    found = []
    for row in range(len(vectors)):
        cosines = []
        for p in range(len(query)):
            dot = length_a = length_b = 0.0
            for d in range(len(query[p])):
                a, b = float(vectors[row][p][d]), float(query[p][d])
                dot, length_a = dot + a * b, length_a + a * a
                length_b += b * b
            cosines.append(dot / math.sqrt(length_a * length_b))
        value = sum(cosines) / len(cosines)
        found.append((row, value if branch is None else cosines[branch]))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:top]


def random_vectors(count=50, branches=2, size=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, branches, size)).astype(np.float32)


def agrees(vectors, queries, top, branch):
    rows, cosines = exact.nearest(unit_branches(vectors), queries, top, branch)
    for query, found, values in zip(queries, rows, cosines, strict=True):
        expected = loops(vectors, query, top, branch)
        if [row for row, _ in expected] != found.tolist():
            return False
        if not np.allclose([v for _, v in expected], values, atol=1e-6):
            return False
    return True


@pytest.mark.parametrize("branch", [None, 0, 1])
def test_nearest_is_the_definition(branch, monkeypatch):
    vectors, queries = random_vectors(), random_vectors(3, seed=1)
    assert agrees(vectors, queries, 5, branch)
    assert agrees(vectors, queries, 50, branch)
    # Blocks of a few rows find the same.
    monkeypatch.setattr(exact, "BLOCK_BYTES", 4 * 12 * 7)
    assert agrees(vectors, queries, 5, branch)


def test_mutated_formulas_fail(monkeypatch):
    vectors, queries = random_vectors(), random_vectors(3, seed=1)
    # Branches of very different lengths must weigh alike.
    vectors[:, 0] *= 9
    queries[:, 1] *= 9
    assert agrees(vectors, queries, 5, None)

    def without_unit(queries, branch=None):
        flat = queries.reshape(len(queries), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    with monkeypatch.context() as patch:
        patch.setattr(exact, "query_vectors", without_unit)
        assert not agrees(vectors, queries, 5, None)
    with monkeypatch.context() as patch:
        patch.setattr(exact, "_largest", lambda r, c, top: (r[:, :top], c))
        assert not agrees(vectors, queries, 5, None)


def test_cosine_is_the_one_of_recall():
    vectors, queries = random_vectors(), random_vectors(3, seed=1)
    rows, cosines = exact.nearest(unit_branches(vectors), queries, 50)
    whole = normalised(queries) @ normalised(vectors).T
    np.testing.assert_allclose(
        cosines, np.take_along_axis(whole, rows, axis=1), atol=1e-6
    )


def test_equal_photos_come_in_their_order():
    vectors = np.repeat(random_vectors(1), 30, axis=0)
    rows, _ = exact.nearest(unit_branches(vectors), vectors[:1], 4)
    assert rows.tolist() == [[0, 1, 2, 3]]


def test_index_finds_photos_of_the_same_colour(index, place):
    assert len(index) == 12
    assert index.vectors.dtype == np.float16
    assert index.settings["skipped"] == 2
    lines = (index.folder / "skipped.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "broken.jpg",
        os.path.join("red", "1cut.png"),
    ]
    for name in COLOURS:
        photo = place / "photos" / name / "2.png"
        found = search(index, photo, top=4)
        assert str(photo) in [path for path, _ in found]
        assert found[0][1] == pytest.approx(1, abs=1e-3)
        assert {os.path.basename(os.path.dirname(p)) for p, _ in found} == {
            name
        }
        assert found == sorted(found, key=lambda pair: -pair[1])


def test_half_precision_and_recall(index, place):
    model = trained()
    files = [index.file(row) for row in range(len(index))]
    vectors, good, problems = embed_files(model, files)
    assert good == list(range(12)) and not problems
    np.testing.assert_allclose(index.vectors, vectors, atol=1e-3)
    rows, _ = index.nearest(vectors, top=2)
    classes = [os.path.dirname(path) for path in index.paths]
    labels = np.unique(classes, return_inverse=True)[1]
    neighbour = np.where(rows[:, 0] == np.arange(12), rows[:, 1], rows[:, 0])
    share = (labels[neighbour] == labels).mean()
    assert share == recall_at_k(vectors, labels)[1]


def test_a_killed_build_goes_on(place, index, tmp_path, monkeypatch):
    import mamc_keras.search.photos as photos

    monkeypatch.setattr(build, "PART", 3)
    calls = []
    real = embed_files

    def dies_at_the_third(model, paths, progress=None):
        calls.append(len(paths))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(model, paths, progress)

    monkeypatch.setattr(photos, "embed_files", dies_at_the_third)
    out = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build_index(place / "preset", place / "photos", out)
    with pytest.raises(ValueError, match="not finished"):
        Index(out)
    calls[:] = [0, 0, 0]
    again = build_index(place / "preset", place / "photos", out)
    assert len(calls) == 3 + 3  # of five parts two were there
    assert again.paths == index.paths
    np.testing.assert_array_equal(again.vectors, index.vectors)
    assert sorted(p.name for p in out.iterdir()) == [
        *("index.json", "paths.txt", "skipped.txt", "vectors.npy"),
    ]


def test_a_part_of_other_photos_is_not_taken(place, tmp_path):
    folder = shutil.copytree(place / "photos", tmp_path / "photos")
    model = trained()
    names = find_photos(folder)
    parts = tmp_path / "parts"
    mark = fingerprint(model)
    first = build._embed_parts(model, mark, names, folder, parts, None)
    same = build._embed_parts(model, mark, names, folder, parts, None)
    assert first == same
    shutil.copy(folder / "blue" / "0.png", folder / "red" / "0.png")
    os.utime(folder / "red" / "0.png", (1, 1))
    assert build._embed_parts(model, mark, names, folder, parts, None) != first
    assert build._embed_parts(model, "x", names, folder, parts, None) != first


def test_fingerprint_is_of_the_embedding_alone(place):
    from mamc_keras.evaluation.evaluate import load_model

    model = trained()
    assert fingerprint(load_model(place / "preset")) == fingerprint(model)
    fewer = model.drop_classes(model.class_names[:1])
    assert fingerprint(fewer) == fingerprint(model)
    other = load_model(place / "preset")
    weights = other.osme.get_weights()
    weights[0].flat[0] += 1e-3
    other.osme.set_weights(weights)
    assert fingerprint(other) != fingerprint(model)


def test_names_of_any_bytes(place, tmp_path):
    name = os.fsdecode(b"caf\xe9 \xff.png")
    (tmp_path / "photos").mkdir()
    photo = place / "photos" / "red" / "0.png"
    shutil.copy(photo, tmp_path / "photos" / name)
    made = build_index(
        place / "preset", tmp_path / "photos", tmp_path / "index"
    )
    assert made.paths == [name]
    assert os.path.isfile(made.file(0))
    assert search(made, photo, top=10)[0][1] == pytest.approx(1, abs=1e-3)


@pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="needs [search]"
)
def test_faiss_finds_the_same(tmp_path, index, monkeypatch):
    vectors = unit_branches(random_vectors(3000, 2, 8)).astype(np.float16)
    file = tmp_path / approximate.FILE
    assert not approximate.build(vectors, file)
    assert approximate.build(vectors, file, least=1000)
    monkeypatch.setattr(index, "folder", tmp_path)
    monkeypatch.setattr(index, "vectors", vectors)
    monkeypatch.setattr(index, "paths", ["x"] * 3000)
    queries = vectors[:50] + random_vectors(50, 2, 8, 5) / 20
    near, cosines = index.nearest(queries, 10)
    best, values = index.nearest(queries, 10, exact=True)
    shared = [len(set(a) & set(b)) for a, b in zip(near, best, strict=True)]
    assert np.mean(shared) > 9.5
    np.testing.assert_allclose(cosines[:, 0], values[:, 0], atol=1e-3)


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        cli.main([str(a) for a in arguments])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert "Received: " in message
    return message


def test_commands(place, tmp_path, capsys):
    out = tmp_path / "index"
    cli.main(
        [
            *("index", str(place / "preset"), str(place / "photos")),
            *("--out", str(out)),
        ]
    )
    said = capsys.readouterr().out
    assert "12 photos, 2 could not be read" in said
    photo = place / "photos" / "red" / "2.png"
    picture = tmp_path / "found.png"
    cli.main(
        [
            *("search", str(out), str(photo), "--top", "3"),
            *("--branch", "1", "--out", str(picture)),
        ]
    )
    said = capsys.readouterr().out
    assert "1.000" in said and "cosine" in said
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"), float)
    # Four red photos lie on the white page.
    red = (pixels[..., 0] - pixels[..., 1]) > 60
    assert red.mean() > 0.2
    message = fails(
        capsys, "index", place / "preset", place / "photos", "--out", out
    )
    assert "never written over" in message


def test_bad_input_gets_one_sentence(place, index, tmp_path, capsys):
    photo = place / "photos" / "red" / "2.png"
    out = "--out", tmp_path / "x.png"
    folder = index.folder
    ask = "search", folder, photo, *out
    assert "no such attention branch" in fails(capsys, *ask, "--branch", "2")
    assert "At least one" in fails(capsys, *ask, "--top", "0")
    assert "no index" in fails(capsys, "search", tmp_path, photo, *out)
    bad = place / "photos" / "broken.jpg"
    assert "no image" in fails(capsys, "search", folder, bad, *out)
    (tmp_path / "empty").mkdir()
    make = "index", place / "preset"
    to = "--out", tmp_path / "new"
    assert "no photo" in fails(capsys, *make, tmp_path / "empty", *to)
    (tmp_path / "empty" / "a.jpg").write_bytes(b"x")
    assert "None of the" in fails(capsys, *make, tmp_path / "empty", *to)
    other = trained().with_classes(num_classes=3, reset_osme=True)
    other.save_to_preset(tmp_path / "other")
    message = fails(capsys, *ask, "--preset", tmp_path / "other")
    assert "the model that made the index" in message
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "paths.txt").write_text("one\n")
    assert "damaged" in fails(capsys, "search", damaged, photo, *out)
