"""One frozen dataclass is the config, the command line and the saved JSON."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does.

    A recipe file in `recipes/` holds one instance named `recipe`;
    `mamc train` offers every field as an option.
    """

    source: str = ""
    """Folder of class folders (with or without split folders), CSV or text
    list, unpacked CUB-200-2011, Stanford Dogs or Cars, or tfds:NAME."""
    exclude: str = ""
    """List of photos to leave out, a path from the source in each line; the
    source's own bad_files.txt by default."""
    preset: str = "efficientnet_lite0_imagenet"
    """Pretrained network: a preset folder, a KerasHub name or handle."""
    image_size: tuple[int, int] = (224, 224)
    """Height and width of the network's input, in pixels."""
    crop_to_aspect_ratio: bool = True
    """Cut the centre out of a photo; False squeezes the whole photo in."""
    validation_fraction: float = 0.1
    """Part of train kept for choosing the best epoch when there is no val
    folder; 0 trains on everything and keeps the last epoch."""
    test_fraction: float = 0.2
    """Part kept for the test when the folder has no split folders."""

    num_attentions: int = 2
    """P, the attention branches; 0 is a plain softmax classifier."""
    embedding_dim: int = 512
    """D, the size of one branch's embedding."""
    reduction_ratio: int = 16
    """r, the bottleneck of the gates."""
    grid_size: int | None = 1
    """Cells that the map is pooled to (1: phone head); None: paper's head."""
    use_gates: bool = True
    """OSME's gates; False leaves P plain projections."""
    dropout: float = 0.2
    """Dropout rate before the classifier."""

    mamc_weight: float = 0.5
    """lambda, the weight of the MAMC terms; 0 is cross-entropy only."""
    normalize: bool = True
    """Cosine similarity in MAMC; False is the formula's raw product."""
    temperature: float | None = None
    """Divides similarities; None is 0.1 with cosine, 1 with raw products."""
    positives: Literal["mean", "sum"] = "mean"
    """Mean or sum over an anchor's positives; the formula sums."""
    normalizer: Literal["anchors", "pairs"] = "anchors"
    """Divide by all anchors, or by the pairs (B / 2) as the formula does."""
    term_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Weights of the SASC, SADC and DASC terms."""

    classes_per_batch: int = 16
    """N, distinct classes in a batch."""
    images_per_class: int = 2
    """Distinct images of each class in a batch."""
    epochs: int = 12
    """Passes over the training photos."""
    learning_rate: float = 3e-4
    """AdamW's rate for the backbone, decayed to 0 along a cosine."""
    warmup_epochs: float = 1.0
    """Epochs in which the backbone's rate rises from 0, at most half of all:
    the gradients of a head that knows nothing yet would spoil it."""
    head_learning_rate: float = 1e-3
    """AdamW's rate for OSME and the classifier, without a warm-up."""
    weight_decay: float = 0.004
    """AdamW's decoupled weight decay."""
    label_smoothing: float = 0.0
    """Smoothing of the cross-entropy's targets; val_loss is smoothed too."""
    class_weights: Literal["equal", "balanced"] = "equal"
    """Weight of every image, or of every class, the same; in both losses."""
    logit_adjustment: float = 0.0
    """tau of logit adjustment, for long tails: 1 trains for the mean of the
    classes' accuracies; val_loss is adjusted too."""
    augmentation: Literal["none", "light", "standard", "strong"] = "standard"
    """Random changes of the training photos, done in tf.data."""
    freeze_batch_norm: bool = True
    """Keep ImageNet's batch statistics; small batches would spoil them."""

    fast: bool = True
    """For CPUs: freeze the lower stages and cache what they compute."""
    cached_views: int = 6
    """Augmented views of each photo in the cache of the fast mode."""
    cache_gb: float = 8.0
    """Gigabytes that all caches together may take on disk."""

    dtype: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Precision of the computation; weights stay float32."""
    devices: int = 1
    """GPUs of this machine to train on, with the result of one but for
    dropout's draws; without a GPU, parts of the CPU."""
    deterministic: bool = False
    """Slower operations that give the same bits in every run on a GPU; on
    CPUs they do anyway. For the whole process."""
    checkpoint_steps: int = 500
    """Steps between checkpoints, which `--resume` goes on from; there is one
    after every epoch too."""
    seed: int = 0
    """Seed of splits, batches, augmentation and new weights."""

    def __post_init__(self):
        for name in (
            "cached_views",
            "epochs",
            "classes_per_batch",
            "checkpoint_steps",
            "devices",
        ):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(
                    f"{name} counts something and must be 1 or more. "
                    f"Received: {name}={value}."
                )
        if self.images_per_class < 2:
            raise ValueError(
                "MAMC needs at least two images of a class in a batch. "
                f"Received: images_per_class={self.images_per_class}. "
                "Set it to 2 or more."
            )
        for name in (
            "validation_fraction",
            "test_fraction",
            "dropout",
            "label_smoothing",
        ):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} is a part of one, from 0 to below 1. Received: "
                    f"{name}={value}."
                )
        if self.logit_adjustment < 0:
            raise ValueError(
                "logit_adjustment is 0 (off) or more; 1 is usual. Received: "
                f"logit_adjustment={self.logit_adjustment}."
            )
        if min(self.image_size) < 32:
            raise ValueError(
                "Backbones halve the image five times, so 32 pixels are the "
                f"least. Received: image_size={self.image_size}."
            )

    def to_json(self):
        """Gives the recipe as indented JSON text.

        Returns:
            str.
        """
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text):
        """Reads what `to_json` wrote.

        Args:
            text: str.

        Returns:
            A `Recipe`.

        Raises:
            ValueError: on a field that no recipe has.
        """
        fields = json.loads(text)
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise ValueError(
                f"A recipe has no field {', '.join(unknown)}. It has: "
                f"{', '.join(sorted(known))}."
            )
        for name in ("image_size", "term_weights"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return cls(**fields)


def load_recipe(file):
    """Reads the recipe that a Python file defines.

    Args:
        file: str or Path of a file with `recipe = Recipe(...)`.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: when the file is missing or defines no recipe.
    """
    if not Path(file).is_file():
        raise ValueError(f"There is no recipe file. Received: {str(file)!r}.")
    spec = importlib.util.spec_from_file_location("recipe_file", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, Recipe):
        raise ValueError(
            "A recipe file must define `recipe = Recipe(...)`. Received: "
            f"{str(file)!r}."
        )
    return recipe
