"""The model card of a preset: what a run knows about it, as Markdown."""

import json

import numpy as np

from mamc_keras.evaluation.calibration import softened
from mamc_keras.evaluation.metrics import most_confused
from mamc_keras.evaluation.metrics import per_class
from mamc_keras.evaluation.predictions import Predictions

MEASURES = {
    "top1": ("top-1, %", 100, 1),
    "top5": ("top-5, %", 100, 1),
    "macro": ("macro accuracy, %", 100, 1),
    "recall@1": ("recall@1 of the embeddings, %", 100, 1),
    "nll": ("NLL, nats", 1, 3),
    "ece": ("calibration error, %", 100, 1),
    "nll_calibrated": ("NLL after the temperature, nats", 1, 3),
    "ece_calibrated": ("calibration error after the temperature, %", 100, 1),
    "called_unknown": ('photos called "perhaps none of these", %', 100, 1),
}
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
NOT_KNOWN = "Not stated by whoever shared it. Ask before you use the model."


def model_card(name, model, run=None, license=None, data=None):
    """Writes a card with YAML for a hub and Markdown for people.

    Args:
        name: str.
        model: `MAMCImageClassifier`.
        run: `Path` of the run folder, or `None`: no numbers are known then.
        license: str, an identifier such as `"mit"`, or `None`.
        data: str. Which photos, where from and on what terms; or `None`.

    Returns:
        str.
    """
    folder = run / "evaluation-test" if run else None
    measured = folder is not None and (folder / "metrics.json").is_file()
    sections = [_head(license), f"# {name}", _what(model), _use(name, model)]
    sections += ["## Data and terms", data or NOT_KNOWN]
    if run:
        sections.append(_text_of(run / "data.txt"))
    sections.append(_limits(model, measured))
    if measured:
        predictions = Predictions.load(folder)
        measures = json.loads((folder / "metrics.json").read_text("utf-8"))
        sections += [_accuracy(measures, run), _classes(predictions)]
        predictions = softened(predictions, model.calibration)
        sections.append(_calibration(predictions))
    if run:
        sections.append(_reproduce(run))
    return "\n\n".join(part for part in sections if part) + "\n"


def _head(license):
    lines = ["library_name: keras-hub", "pipeline_tag: image-classification"]
    lines.append("tags: [fine-grained, mamc_keras]")
    if license:
        lines.append(f"license: {license}")
    return "\n".join(("---", *lines, "---"))


def _what(model):
    heads = (
        f"{model.num_attentions} attention branches (OSME) of "
        f"{model.embedding_dim} numbers each, trained with MAMC"
        if model.num_attentions
        else "a plain softmax on pooled features"
    )
    size = " x ".join(map(str, model.image_size or ("any", "any")))
    return (
        f"Names one of {model.num_classes} look-alike classes. "
        f"{model.backbone.encoder.name} at {size} pixels, {heads}; "
        f"{model.count_params() / 1e6:.1f} million weights. Made with "
        "mamc_keras after [Sun et al., ECCV 2018]"
        "(https://arxiv.org/abs/1806.05372)."
    )


def _use(name, model):
    return f"""## Use

```python
from mamc_keras import MAMCImageClassifier

# or hf://user/{name}
model = MAMCImageClassifier.from_preset("PATH/{name}")
probabilities = model.probabilities(photos)  # (B, {model.num_classes}), 0..255
embeddings = model.embed(photos)
```

```
mamc predict PATH/{name} photo.jpg
```

A `.tflite` file beside the preset takes one uint8 RGB image and gives
probabilities; the class names are inside it and in `labels.txt`."""


def _limits(model, measured):
    use = (
        "For photos like the ones above, each of which shows one of the "
        f"{model.num_classes} classes. Every photo gets one of them, also one "
        "that shows none: there is no class for anything else."
    )
    if model.calibration:
        rate = model.calibration.false_alarm_rate
        use += (
            " `mamc predict` adds 'perhaps none of these' to photos unlike "
            f"any class; about {rate:.0%} of photos of the classes get it "
            "too, and look-alikes that the model never saw often do not."
        )
    lines = [
        "## Intended use and limits",
        use,
        "The heat maps say where the network looked, not why it answered.",
    ]
    if not measured:
        lines.append("**Nothing was measured on a test split.**")
    return "\n\n".join(lines)


def _accuracy(measures, run):
    lines = ["## Accuracy", f"On {measures['images']:,} test photos."]
    rows = ["| measure | Keras |", "|---|---|"]
    for key, (title, factor, digits) in MEASURES.items():
        if key in measures:
            rows.append(f"| {title} | {factor * measures[key]:.{digits}f} |")
    lines.append("\n".join(rows))
    parity = run / "export" / "parity.json"
    files = json.loads(parity.read_text("utf-8")) if parity.is_file() else {}
    rows = [
        "| file | MB | top-1, % | same answer as Keras, % |",
        "|---|---|---|---|",
    ]
    for file, report in files.items():
        if report:
            rows.append(
                f"| {file} | {report['megabytes']:.1f} | "
                f"{100 * report['accuracy_tflite']:.1f} | "
                f"{100 * report['agreement']:.1f} |"
            )
    return "\n\n".join(lines + ["\n".join(rows)] * (len(rows) > 2))


def _classes(predictions):
    rows = [
        "| class | photos | recall, % | precision, % |",
        "|---|---|---|---|",
    ]
    for row in per_class(predictions):
        rows.append(
            f"| {_cell(row['class_name'])} | {row['images']} | "
            f"{100 * row['recall']:.0f} | {100 * row['precision']:.0f} |"
        )
    pairs = "\n".join(
        f"- {count} photos of {_cell(true)} were taken for {_cell(answer)}"
        for true, answer, count in most_confused(predictions, 5)
    )
    return "\n\n".join(("## Classes, worst first", "\n".join(rows), pairs))


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def _calibration(predictions):
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.predicted == predictions.labels
    rows = ["| probability said | photos | mean, % | right, % |"]
    rows.append("|---|---|---|---|")
    for low, high in zip(EDGES, EDGES[1:], strict=False):
        chosen = (confidence > low) & (confidence <= high)
        if chosen.any():
            rows.append(
                f"| {100 * low:.0f} to {100 * high:.0f} % | {chosen.sum()} | "
                f"{100 * np.mean(confidence[chosen]):.1f} | "
                f"{100 * np.mean(right[chosen]):.1f} |"
            )
    return "## Calibration\n\n" + "\n".join(rows)


def _reproduce(run):
    recipe = json.loads((run / "recipe.json").read_text("utf-8"))
    facts = json.loads((run / "environment.json").read_text("utf-8"))
    # A path of the machine that trained it says nothing to anybody else.
    recipe["source"] = "PHOTOS"
    recipe["exclude"] = ""
    text = json.dumps(recipe, indent=2, ensure_ascii=False)
    versions = ", ".join(f"{k} {v}" for k, v in facts.items())
    return (
        f"## How to reproduce\n\nThis recipe, seed {recipe['seed']}, with the "
        f"photos in PHOTOS ({versions}):\n\n```json\n{text}\n```"
    )


def _text_of(file):
    """What training said about its data, without names of single files."""
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    return "\n".join(
        f"- {line.split(': /')[0]}" for line in lines if line.strip()
    )
