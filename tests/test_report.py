"""The page of `mamc report`: what it says, and what it never does."""

import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import exported
import numpy as np
import pytest
import tyro

from mamc_keras.cli import main
from mamc_keras.evaluation import metrics
from mamc_keras.evaluation.intervals import intervals
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.recipe import Recipe
from mamc_keras.report import report
from mamc_keras.report.advice import advice
from mamc_keras.report.branches import branch_behaviour
from mamc_keras.report.branches import branch_cosine
from mamc_keras.report.branches import in_words
from mamc_keras.report.facts import Facts
from mamc_keras.report.facts import expected_by_chance
from mamc_keras.report.facts import suspicious
from mamc_keras.report.page import page
from mamc_keras.report.repeat import command_of
from mamc_keras.report.sections import Shown
from mamc_keras.report.trouble import classes_in_trouble
from mamc_keras.report.trouble import reasons

NOTHING = Shown([], None, False)
MEASURED = {"top1": 0.85, "ece": 0.14}  # where it says 99 %


def predictions_of(answers, names=None, sure=0.9, paths=None):
    """`answers`: list of (label, answer, photos); other classes share alike."""
    labels = np.concatenate([[k] * n for k, _, n in answers])
    said = np.concatenate([[j] * n for _, j, n in answers])
    count = max(labels.max(), said.max()) + 1
    names = names or [f"{k:02d}.class_{k}" for k in range(count)]
    count = len(names)
    shares = np.full((len(labels), count), (1 - sure) / (count - 1))
    shares[np.arange(len(labels)), said] = sure
    return Predictions(
        paths or [f"gone/{i}.jpg" for i in range(len(labels))],
        labels,
        np.log(shares),
        np.random.default_rng(0).normal(size=(len(labels), 2, 3)),
        names,
    )


def facts_of(predictions, **changes):
    measures = {"images": len(predictions), **metrics.summary(predictions)}
    many = len(predictions) > 1
    known = {
        "path": Path("runs/first"),
        "preset": Path("runs/first/preset"),
        "source": "my photos",
        "own": True,
        "split": "test",
        "sizes": {"train": 90, "val": 0, "test": len(predictions)},
        "counts": [30] * len(predictions.class_names),
        "predictions": predictions,
        "sides": None,
        "measures": measures,
        "intervals": intervals(predictions) if many else {},
        "slices": [],
        "calibration": None,
        "recipe": {},
        "environment": {},
        "trained": {},
        "history": {},
        "notes": [],
        "moved": False,
    }
    return Facts(**{**known, **changes})


def good(**changes):
    """Facts that give no reason for any advice."""
    right = [(k, k, 300) for k in range(5)] + [(0, 1, 2)]
    return facts_of(predictions_of(right, sure=0.99), **changes)


def titles(facts):
    troubles = classes_in_trouble(
        facts.predictions, facts.counts, facts.suspicions
    )
    return [entry.title for entry in advice(facts, troubles)]


def written(facts, shown=NOTHING):
    troubles = classes_in_trouble(
        facts.predictions, facts.counts, facts.suspicions
    )
    return page(facts, troubles, advice(facts, troubles), shown)


class Reader(html.parser.HTMLParser):
    """Collects tags, attributes and the text that a person sees."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.parts = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.parts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.parts).split())


# === What needs advice ===


def test_a_good_run_is_to_be_used():
    assert titles(good()) == ["Use it"]


@pytest.mark.parametrize(
    "word, changes",
    [
        (
            "More photos, rather",
            {"history": {"accuracy": [0.99], "val_accuracy": [0.85]}},
        ),
        (
            "Train longer",
            {
                "history": {"val_accuracy": [0.2, 0.4, 0.5, 0.6]},
                "trained": {"epoch": 4},
            },
        ),
        (
            "Use larger photos",
            {
                "slices": [
                    {
                        "slice": "shorter side",
                        "value": "90 px",
                        "top1": "0.5",
                        "top1_high": "0.6",
                    }
                ]
            },
        ),
        ("Put more photos aside", {"intervals": {"top1": (0.7, 0.85)}}),
        (
            "More photos, rather",  # No validation photos: the measured ones.
            {"history": {"accuracy": [0.99]}, "measures": MEASURED},
        ),
        ("Keep 100 validation", {"measures": MEASURED}),
        (
            "Do not read the probabilities",
            {
                "measures": MEASURED,
                "calibration": Calibration(1.5, "energy", 0.1, 0.05, 100),
            },
        ),
    ],
)
def test_advice_comes_with_its_evidence(word, changes):
    assert [t for t in titles(good(**changes)) if t.startswith(word)]


@pytest.mark.parametrize(
    "changes",
    [
        {"history": {"accuracy": [0.95], "val_accuracy": [0.9]}},
        {
            "history": {"val_accuracy": [0.2, 0.4, 0.6, 0.601]},
            "trained": {"epoch": 4},
        },
        {
            "history": {"val_accuracy": [0.2, 0.4, 0.5, 0.6]},
            "trained": {"epoch": 1},
        },
        {"intervals": {"top1": (0.7, 0.75)}},
        {
            "history": {"val_accuracy": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, 0]},
            "trained": {"epoch": 7},  # the last but one
        },
        {"history": {"accuracy": [0.99]}},
        {"history": {"accuracy": [1.2]}, "split": "train"},
        {"history": {"accuracy": [1.2]}, "own": False},
    ],
)
def test_no_advice_without_evidence(changes):
    assert titles(good(**changes)) == ["Use it"]


def believable(photos, classes, seed):
    """A classifier whose probabilities are true, and labels without errors."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 5, (photos, classes))
    powers = np.exp(logits)
    shares = powers / powers.sum(axis=1, keepdims=True)
    labels = [rng.choice(classes, p=row) for row in shares]
    paths = [f"gone/{i}.jpg" for i in range(photos)]
    names = [f"class {k}" for k in range(classes)]
    embeddings = rng.normal(size=(photos, 2, 3))
    return Predictions(paths, labels, logits, embeddings, names)


@pytest.mark.parametrize("photos", [30, 100, 1000])
def test_true_probabilities_are_not_blamed(photos):
    # By chance the calibration error of so few photos is 5 % and more.
    blamed = sum(
        "Keep 100 validation" in " ".join(titles(facts_of(table)))
        for table in (believable(photos, 4, seed) for seed in range(20))
    )
    assert blamed <= 3  # one in twenty on average


def test_sure_mistakes_that_are_expected_are_said():
    table = believable(3000, 30, 0)
    shares = table.probabilities
    expected = 0.0
    for row in shares:
        best = row.argmax()
        for k, share in enumerate(row):
            if k != best and row[best] - share > 0.7:
                expected += share
    # The temperature of these photos is close to 1, but not 1.
    assert expected_by_chance(table) == pytest.approx(expected, rel=0.1)
    facts = facts_of(table)
    (entry,) = [
        a for a in advice(facts, []) if "may be in the wrong" in a.title
    ]
    said = f"makes about {expected_by_chance(table):.0f} sure mistakes in 3,000"
    assert said in entry.why


def test_a_classifier_that_is_too_sure_is_not_believed():
    answers = [(k, k, 20) for k in range(6)]
    wrong = [(k, j, 2) for k in range(6) for j in range(6) if j != k]
    # It says 99.9 % and is right in 67 %.
    assert suspicious(predictions_of([*answers, *wrong], sure=0.999)) == []


def test_training_commands_keep_the_recipe():
    recipe = Recipe(source="my photos", embedding_dim=128, epochs=4)
    facts = good(
        recipe=json.loads(recipe.to_json()),
        history={"val_accuracy": [0.2, 0.4, 0.5, 0.6]},
        trained={"epoch": 4},
    )
    (entry,) = advice(facts, [])
    words = "mamc train 'my photos' --embedding-dim 128 --epochs 8"
    assert entry.command == words


def test_few_of_many_are_not_taken_for_each_other():
    few = predictions_of([(0, 0, 500), (1, 1, 497), (1, 0, 3)], sure=0.99)
    assert not [t for t in titles(facts_of(few)) if "taken for" in t]


def test_classes_that_are_taken_for_each_other():
    facts = facts_of(
        predictions_of([(0, 0, 955), (1, 1, 40), (1, 0, 5)], sure=0.99),
        path=Path("my runs/first"),
    )
    (entry,) = advice(facts, [])
    assert entry.title.startswith("Look at the classes")
    assert "class 1 for class 0 (5)" in entry.why
    # The first photo that was mistaken, ready to be explained.
    assert entry.command == "mamc explain 'my runs/first' gone/995.jpg"


def test_classes_with_few_photos():
    predictions = predictions_of([(0, 0, 400), (1, 1, 10), (1, 0, 10)])
    (found,) = classes_in_trouble(predictions, [50, 7])
    assert (found.label, found.images, found.hits, found.few) == (1, 20, 10, 7)
    assert found.taken_for == [(0, 10)]
    assert len(found.mistakes) == 10
    said = reasons(found, predictions.class_names, [50, 7])
    assert "few training photos: 7" in said[0]
    assert said[1] == "10 of 20 are taken for class 0"
    facts = facts_of(predictions, counts=[50, 7])
    assert "Add photos of the classes that have few" in titles(facts)
    # With enough photos, or unknown, that is not the reason.
    for counts in ([50, 40], None):
        (found,) = classes_in_trouble(predictions, counts)
        assert found.few is None


def test_mistakes_of_every_kind():
    wrong = [(0, k, 1) for k in range(1, 9)]
    right = [(k, k, 50) for k in range(1, 9)]
    predictions = predictions_of([(0, 0, 1), *wrong, *right], sure=0.6)
    (found,) = classes_in_trouble(predictions)
    assert reasons(found, predictions.class_names) == [
        "no one class: its 8 mistakes are spread over 8 classes"
    ]


def test_classes_with_small_photos():
    predictions = predictions_of([(0, 0, 400), (1, 1, 10), (1, 0, 10)])
    for side, small in ((50, (50, 100)), (70, None)):
        sides = [100] * 400 + [side] * 20
        (found,) = classes_in_trouble(predictions, None, (), sides)
        assert found.small == small
        said = " ".join(reasons(found, predictions.class_names))
        assert ("small photos: 50 pixels" in said) == (small is not None)


def test_bad_luck_is_no_trouble():
    # 3 of 4 right beside 90 %: such a class is often seen.
    predictions = predictions_of([(0, 0, 90), (0, 1, 10), (1, 1, 3), (1, 0, 1)])
    assert classes_in_trouble(predictions) == []


def test_the_class_that_loses_most_photos_is_first():
    predictions = predictions_of(
        [(0, 0, 900), (1, 0, 10), (2, 2, 10), (2, 0, 30)]
    )
    found = classes_in_trouble(predictions)
    assert [t.label for t in found] == [2, 1]


def test_suspected_labels_are_sure_mistakes_of_a_rare_kind():
    answers = [(k, k, 20) for k in range(4)]
    rare = predictions_of([*answers, (0, 1, 1), (1, 2, 1), (2, 3, 2)])
    found = suspicious(rare)
    assert sorted((s.given, s.suggested) for s in found) == [
        *((0, 1), (1, 2), (2, 3), (2, 3))
    ]
    assert "Look at 4 photos" in " ".join(titles(facts_of(rare)))
    text = Reader(written(facts_of(rare))).text
    assert text.count("in class 2, looks like class 3") == 2
    # Often taken for each other: hard classes, not wrong labels.
    assert suspicious(predictions_of([*answers, (0, 1, 3)])) == []
    # Unsure mistakes are mistakes.
    assert suspicious(predictions_of([*answers, (0, 1, 1)], sure=0.6)) == []
    one = predictions_of([(0, 0, 3)], sure=1 - 1e-9, names=["a", "b"])
    assert suspicious(one) == []


# === Branches ===


def table_of(model, images_per_class):
    photos, labels = exported.photos(images_per_class)
    outputs = model.heads(model.preprocess(photos))
    arrays = [np.asarray(outputs[k]) for k in ("logits", "embeddings")]
    paths = ["x"] * len(labels)
    return photos, Predictions(paths, labels, *arrays, exported.NAMES)


def test_a_branch_alone():
    model = exported.trained()
    photos, table = table_of(model, 6)
    labels, embeddings, logits = table.labels, table.embeddings, table.logits
    found = branch_behaviour(model, table, photos)
    kernel, bias = model.output_dense.get_weights()
    size = embeddings.shape[2]
    hits = np.zeros((2, len(labels)), bool)
    for p in range(2):
        for i in range(len(labels)):
            scores = [
                bias[k]
                + sum(
                    embeddings[i, p, d] * kernel[p * size + d, k]
                    for d in range(size)
                )
                for k in range(len(bias))
            ]
            hits[p, i] = np.argmax(scores) == labels[i]
    np.testing.assert_allclose(found.alone, hits.mean(axis=1))
    assert found.together == (logits.argmax(axis=1) == labels).mean()
    cosines = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in embeddings
    ]
    assert found.cosine == pytest.approx(np.mean(cosines), abs=1e-5)
    assert 0 <= found.elsewhere <= 1
    assert branch_behaviour(model, table).elsewhere is None


def test_branch_cosine_equals_the_loops():
    x = np.random.default_rng(0).normal(size=(5, 3, 4))
    total = []
    for image in x:
        for p in range(3):
            for q in range(3):
                if p != q:
                    a, b = image[p], image[q]
                    norm = np.linalg.norm(a) * np.linalg.norm(b)
                    total.append(a @ b / norm)
    assert branch_cosine(x) == pytest.approx(np.mean(total))
    assert np.isnan(branch_cosine(x[:, :1]))


def test_branches_in_words():
    model = exported.trained()
    found = branch_behaviour(model, table_of(model, 2)[1])
    same = dataclasses.replace(found, cosine=0.95, elsewhere=0.01)
    assert "one branch would do" in " ".join(in_words(same))
    assert "much the same place" in " ".join(in_words(same))
    other = dataclasses.replace(found, cosine=0.1, elsewhere=0.4)
    assert "look at different places" in " ".join(in_words(other))
    assert "plain classifier" in written(good(), Shown([], None, True))


# === The page ===


def test_nothing_from_outside_is_taken_as_html():
    names = ['<script>alert("1")</script>', "a\"b'c&d", "鳥類 " + "x" * 200]
    paths = [f'"><img src=x onerror=alert({i})>.jpg' for i in range(30)]
    paths[0] = "\udcff.jpg"  # a file name that is not UTF-8
    answers = [(0, 0, 12), (1, 0, 8), (2, 2, 10)]
    facts = facts_of(
        predictions_of(answers, names, paths=paths),
        path=Path("<b>run</b>"),
        source="<i>photos</i>; rm -rf ~",
        environment={"<u>": "<s>"},
        notes=["<h1>"],
        recipe={"source": "<i>photos</i>; rm -rf ~"},
    )
    worst = [(12, [("the <photo>", "data:image/jpeg;base64,")])]
    source = written(facts, Shown(worst, None, False))
    source.encode("utf-8")
    found = Reader(source)
    assert not {"script", "b>run", "i", "u", "s"} & set(found.tags)
    assert found.tags.count("h1") == 1
    assert not [a for a in found.attributes if a[1].startswith("on")]
    assert "鳥類" in found.text and '<script>alert("1")' in found.text
    # The command is safe to copy.
    assert "'<i>photos</i>; rm -rf ~'" in found.text
    images = [value for tag, name, value in found.attributes if name == "src"]
    assert all(value.startswith("data:") for value in images)
    assert found.text.count("not there any more") >= 3


def test_many_classes_stay_readable():
    answers = [(k, k, 20) for k in range(400)]
    answers += [(k, (k + 1) % 400, 40) for k in range(0, 200)]
    source = written(facts_of(predictions_of(answers)))
    found = Reader(source)
    assert "And 188 more" in found.text  # of the classes in trouble
    assert "and 100 more" in found.text  # of the names
    assert len(source) < 1_000_000


def test_small_runs_have_a_page_too():
    one_each = predictions_of([(0, 0, 1), (1, 0, 1)])
    assert "named 1 right: 50.0%" in Reader(written(facts_of(one_each))).text
    single = predictions_of([(0, 0, 1)], names=["a", "b"])
    assert "named 1 right: 100.0%" in Reader(written(facts_of(single))).text


@pytest.mark.parametrize(
    "split, said",
    [("val", "did not learn from"), ("train", "learned from, which")],
)
def test_other_splits_are_said(split, said):
    page = Reader(written(good(split=split))).text
    assert said in page and "no test photos" not in page
    page = Reader(written(good(split=split, sizes={"test": 0}))).text
    assert ("no test photos" in page) == (split == "val")


def test_command_trains_the_same_again():
    recipe = Recipe(
        source="my photos",
        epochs=3,
        image_size=(96, 64),
        use_gates=False,
        fast=False,
        term_weights=(1.0, 0.0, 0.5),
        temperature=0.2,
    )
    stored = json.loads(recipe.to_json())
    words = command_of(stored)
    assert words[:3] == ["mamc", "train", "my photos"]
    options = tyro.cli(Recipe, args=words[3:])
    assert dataclasses.replace(options, source="my photos") == recipe
    assert command_of(json.loads(Recipe(source="a").to_json()))[2:] == ["a"]


# === Of a real run ===


@pytest.fixture(scope="module")
def run(trained_run, tmp_path_factory):
    copy = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(trained_run, copy)
    main(["report", str(copy)])
    return copy


def test_page_needs_nothing_else(run):
    source = (run / "report.html").read_text("utf-8")
    found = Reader(source)
    for tag, name, value in found.attributes:
        if name in ("src", "href", "srcset", "data", "action"):
            # The charts point into themselves.
            assert value.startswith(("data:", "#")), (tag, name, value)
    assert not re.findall(r"@import|url\((?!#)", source)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    (policy,) = re.findall(r'Security-Policy" content="([^"]*)"', source)
    assert policy.startswith("default-src 'none'")
    named = [v for _, name, v in found.attributes if name == "id"]
    assert len(named) == len(set(named))  # of four charts
    pointed = re.findall(r'(?:href="|url\()#([^")]*)', source)
    assert pointed and set(pointed) <= set(named)
    links = [
        v for tag, name, v in found.attributes if (tag, name) == ("a", "href")
    ]
    assert len(links) == found.tags.count("h2") >= 8
    assert {link[1:] for link in links} <= set(named)
    for name in ("How it learned", "The numbers", "The attention branches"):
        assert name in found.text
    assert found.tags.count("svg") == 4


def test_page_has_the_numbers_of_evaluate(run):
    text = Reader((run / "report.html").read_text("utf-8")).text
    measures = json.loads((run / "evaluation-test/metrics.json").read_text())
    ends = json.loads((run / "evaluation-test/intervals.json").read_text())
    low, high = ends["top1"]
    assert f"top-1 {measures['top1']:.1%} {low:.1%} to {high:.1%}" in text
    assert f"NLL {measures['nll']:.3g} " in text
    hits = round(measures["top1"] * measures["images"])
    assert f"it named {hits} right: {measures['top1']:.1%} , and" in text


def test_network_runs_once(run, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("The stored predictions were not used.")

    monkeypatch.setattr("mamc_keras.evaluation.evaluate.predict_images", refuse)
    report(run)


def test_photos_that_are_gone(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    recipe = json.loads((copy / "recipe.json").read_text())
    recipe["source"] = str(tmp_path / "moved away")
    (copy / "recipe.json").write_text(json.dumps(recipe))
    main(["report", str(copy), "--out", str(tmp_path / "a.html")])
    text = Reader((tmp_path / "a.html").read_text("utf-8")).text
    assert "no longer where the run found them" in text
    (copy / "evaluation-test").rename(copy / "evaluation-val")
    report(copy, tmp_path / "b.html")
    text = Reader((tmp_path / "b.html").read_text("utf-8")).text
    assert "did not learn from" in text
    shutil.rmtree(copy / "evaluation-val")
    with pytest.raises(SystemExit):
        main(["report", str(copy)])
    assert "moved away" in capsys.readouterr().err


def test_preset_without_a_run(run, photo_folder, tmp_path):
    preset = tmp_path / "cups"
    shutil.copytree(run / "preset", preset)
    with pytest.raises(ValueError, match="does not know its data"):
        report(preset)
    main(["report", str(preset), str(photo_folder)])
    text = Reader((tmp_path / "report.html").read_text("utf-8")).text
    assert f"Of 36 photos in {photo_folder}, it named" in text
    assert "How it learned" not in text and "train the same" not in text


def test_bad_input_is_one_sentence(run, tmp_path, capsys, monkeypatch):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished)
    (unfinished / "metrics.json").unlink()
    for path, said in (
        (unfinished, "not finished"),
        (tmp_path, "no trained preset"),
    ):
        with pytest.raises(SystemExit) as error:
            main(["report", str(path)])
        assert error.value.code == 2
        assert said in capsys.readouterr().err
    before = (run / "report.html").read_text("utf-8")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        report(run)
    monkeypatch.undo()
    assert (run / "report.html").read_text("utf-8") == before
    assert not [*run.glob(".report*")]


# === In Chromium ===


@pytest.mark.slow
def test_page_in_a_browser(run, tmp_path):
    root = Path(__file__).parents[1]
    driver = root / "build" / "browser" / "node_modules" / "playwright-core"
    missing = [n for n in ("node", "chromium") if not shutil.which(n)]
    if missing or not driver.is_dir():
        pytest.skip("No browser to drive: run make browser.")
    job = {
        "driver": str(driver),
        "chromium": shutil.which("chromium"),
        "page": (run / "report.html").resolve().as_uri(),
        "pdf": str(tmp_path / "report.pdf"),
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    script = Path(__file__).parent / "scripts" / "report.cjs"
    done = subprocess.run(
        ["node", str(script), str(tmp_path / "job.json")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["asked"] == [job["page"]] * 2
    assert found["errors"] == []
    # What lies behind a click on the screen is on the paper.
    assert found["behind"][0] < 100 < 400 < found["behind"][1]
    assert found["wide"] == [0, 0, 0, 0]  # nothing to scroll sideways
    light, dark = found["pages"]["light"], found["pages"]["dark"]
    assert min(light) > 200 and max(dark) < 60
    # Ink on paper: dark letters on white in print, though the screen is dark.
    assert max(found["printed"]) < 60
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
