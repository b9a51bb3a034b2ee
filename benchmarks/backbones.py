"""Any backbone: built, trained a step, saved, loaded elsewhere and exported.

Random weights (Lite: ImageNet), 224 pixels, 50 classes, the default head. Each
backbone has two processes of its own: the first builds the classifier, trains
steps on 8 images, saves a preset and writes a float32 .tflite; the second
loads the preset and has to give the same answers. A row says how far it came.
Seconds of a shared machine are rough; the table relates them to EfficientNet-
Lite0. Run it while nothing else runs.

Run: python benchmarks/backbones.py [--names NAME...]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import keras_hub
import numpy as np
from keras_hub.src.models.mobilenetv5.mobilenetv5_builder import (
    convert_arch_def_to_stackwise,
)
from keras_hub.src.utils import timm
from results import append_row
from results import is_done

from mamc_keras import MAMCImageClassifier
from mamc_keras.models.backbones import load_backbone
from mamc_keras.models.split import split_encoder

RESULTS = Path(__file__).parent / "results" / "backbones.csv"
SIZE, CLASSES, IMAGES = (224, 224), 50, 8
SETTINGS = {"scale": 1 / 128, "offset": -127 / 128, "image_size": SIZE}
TOLERANCE = 1e-3  # of the largest logit or probability
HUB = keras_hub.models


def lite0():
    return load_backbone("efficientnet_lite0_imagenet", SIZE)[0]


def applications(name):
    return lambda: getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(*SIZE, 3)
    )


def keras_cv(name, **config):
    """Built directly: its named presets ask a hub even without weights."""

    def build():
        import keras_cv

        backbone = getattr(keras_cv.models, f"{name}Backbone")
        return backbone(
            input_shape=(*SIZE, 3), include_rescaling=False, **config
        )

    return build


def from_timm(kind, architecture):
    """KerasHub's own table of what a timm architecture is."""

    def build():
        import importlib

        module = importlib.import_module(f"{timm.__name__}.convert_{kind}")
        config = module.convert_backbone_config({"architecture": architecture})
        return module.backbone_cls(**config, image_shape=(*SIZE, 3))

    return build


def hub(name, **config):
    return lambda: getattr(HUB, f"{name}Backbone")(
        image_shape=(*SIZE, 3), **config
    )


# Every image family of KerasHub 0.32 with a map or patch tokens at its end.
BACKBONES = {
    ("KerasHub", "EfficientNet-Lite0"): lite0,
    ("KerasHub", "EfficientNet B0"): from_timm(
        "efficientnet", "efficientnet_b0"
    ),
    ("KerasHub", "MobileNetV3 small"): from_timm(
        "mobilenet", "mobilenetv3_small_100"
    ),
    ("KerasHub", "MobileNetV3 large"): from_timm(
        "mobilenet", "mobilenetv3_large_100"
    ),
    ("KerasHub", "MobileNetV5, three blocks"): hub(
        "MobileNetV5",
        **convert_arch_def_to_stackwise(
            [["er_r1_k3_s2_e4_c24"], ["uir_r1_a3_k5_s2_e6_c48"] * 2]
        ),
        use_msfa=False,
    ),
    ("KerasHub", "ResNet 50"): from_timm("resnet", "resnet50"),
    ("KerasHub", "ResNetV2 50"): from_timm("resnet", "resnetv2_50"),
    ("KerasHub", "DenseNet 121"): hub(
        "DenseNet", stackwise_num_repeats=[6, 12, 24, 16]
    ),
    ("KerasHub", "CSPNet, DarkNet 53"): from_timm("cspnet", "cspdarknet53"),
    ("KerasHub", "HGNetV2 B0"): from_timm("hgnetv2", "hgnetv2_b0"),
    ("KerasHub", "Xception 41"): hub(
        "Xception",
        stackwise_conv_filters=[
            [32, 64],
            [128, 128],
            [256, 256],
            [728, 728],
            *[[728, 728, 728]] * 8,
            [728, 1024],
            [1536, 2048],
        ],
        stackwise_pooling=[False, True, True, True, *[False] * 8, True, False],
    ),
    ("KerasHub", "VGG 16"): hub(
        "VGG",
        stackwise_num_repeats=[2, 2, 3, 3, 3],
        stackwise_num_filters=[64, 128, 256, 512, 512],
    ),
    ("KerasHub", "MiT B0"): hub(
        "MiT",
        layerwise_depths=[2, 2, 2, 2],
        num_layers=4,
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[32, 64, 160, 256],
    ),
    ("KerasHub", "ViT tiny, patches of 16"): hub(
        "ViT",
        patch_size=16,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
    ),
    ("KerasHub", "DeiT tiny, patches of 16"): hub(
        "DeiT",
        patch_size=16,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        intermediate_dim=768,
    ),
    ("KerasHub", "DINOv2 small, patches of 14"): hub(
        "DINOV2",
        patch_size=14,
        num_layers=12,
        num_heads=6,
        hidden_dim=384,
        intermediate_dim=1536,
        num_register_tokens=4,
        position_embedding_shape=(*SIZE, 3),
    ),
    ("KerasHub", "Swin tiny"): hub(
        "SwinTransformer",
        embed_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=7,
    ),
    **{
        ("keras.applications", name): applications(name)
        for name in (
            *("MobileNetV2", "MobileNetV3Small", "EfficientNetV2B0"),
            *("ResNet50V2", "ConvNeXtTiny", "NASNetMobile", "InceptionV3"),
        )
    },
    ("keras-cv", "ResNetV2 50"): keras_cv(
        "ResNetV2",
        stackwise_filters=[64, 128, 256, 512],
        stackwise_blocks=[3, 4, 6, 3],
        stackwise_strides=[1, 2, 2, 2],
    ),
    ("keras-cv", "DenseNet 121"): keras_cv(
        "DenseNet", stackwise_num_repeats=[6, 12, 24, 16]
    ),
    ("keras-cv", "CSPDarkNet tiny"): keras_cv(
        "CSPDarkNet",
        stackwise_channels=[48, 96, 192, 384],
        stackwise_depth=[1, 3, 3, 1],
    ),
}


def photos():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *SIZE, 3)).astype("float32")
    return images, np.repeat(np.arange(IMAGES // 2), 2)


def build(build_backbone, folder, row):
    """Fills the row as far as it comes; the second process goes on."""
    from mamc_keras.export.litert import export_litert
    from mamc_keras.lite import Classifier

    keras.utils.set_random_seed(0)
    images, labels = photos()
    model = MAMCImageClassifier(
        build_backbone(), CLASSES, SETTINGS, image_size=SIZE
    )
    shape = model.backbone.output_shape[1:]
    row["map"] = " x ".join(map(str, shape))
    row["weights"] = model.count_params()
    row["fast"] = cut_of(model.backbone.encoder)
    yield "built"
    model.compile(optimizer=keras.optimizers.SGD(1e-4))
    inputs = model.preprocess(images)
    seconds = []
    for _ in range(4):  # The first one traces.
        started = time.perf_counter()
        loss = model.train_on_batch(inputs, labels)
        seconds.append(time.perf_counter() - started)
    if not np.isfinite(loss).all():
        raise FloatingPointError(f"the loss is {loss}")
    row["step_seconds"] = f"{statistics.median(seconds[1:]):.3f}"
    yield "trained"
    model.save_to_preset(folder / "preset")
    np.save(folder / "logits.npy", model.predict(images, verbose=0))
    yield "saved"
    file = export_litert(model, folder / "model.tflite")
    row["tflite_mb"] = f"{file.stat().st_size / 1e6:.1f}"
    classifier = Classifier(file, num_threads=1)
    photo = images[0].astype("uint8")
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        answer = classifier.predict(photo)
        seconds.append(time.perf_counter() - started)
    row["tflite_ms"] = f"{1000 * statistics.median(seconds[1:]):.1f}"
    expected = model.probabilities(photo[None])[0]
    gap = np.abs(answer - expected).max() / expected.max()
    row["tflite_difference"] = f"{gap:.1e}"
    if not gap <= TOLERANCE:
        raise ValueError("the .tflite answers otherwise")
    yield "exported"


def cut_of(encoder):
    """The map that the fast mode caches, or why there is none."""
    try:
        lower, _ = split_encoder(encoder, SIZE)
    except ValueError:
        return ""
    return " x ".join(map(str, lower.compute_output_shape((1, *SIZE, 3))[1:]))


def load(folder):
    """What the second process does: the preset gives the same answers."""
    model = MAMCImageClassifier.from_preset(folder / "preset")
    before = np.load(folder / "logits.npy")
    after = model.predict(photos()[0], verbose=0)
    gap = np.abs(after - before).max()
    if not gap <= TOLERANCE * np.abs(before).max():
        raise SystemExit(f"the loaded preset differs by {gap}")


def one(source, name, out):
    row = {"source": source, "name": name, "reached": "nothing", "map": ""}
    row |= {"weights": "", "fast": "", "step_seconds": "", "tflite_mb": ""}
    row |= {"tflite_ms": "", "tflite_difference": "", "problem": ""}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        try:
            for reached in build(BACKBONES[source, name], folder, row):
                row["reached"] = reached
            command = [sys.executable, __file__, "--load", str(folder)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise ValueError(done.stderr.strip().splitlines()[-1])
            row["reached"] = "loaded"
        except Exception as error:  # A row says what is wrong with it.
            first = str(error).strip().splitlines() or [repr(error)]
            row["problem"] = f"{type(error).__name__}: {first[0][:200]}"
    append_row(out, row)
    print(*row.values(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="+", help="only these")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load)
    elif options.one:
        one(*options.one, options.out)
    else:
        for source, name in BACKBONES:
            if options.names and name not in options.names:
                continue
            if not is_done(options.out, source=source, name=name):
                # A process each: no graph of the one before is in memory.
                subprocess.run(
                    [
                        *(sys.executable, __file__, "--one", source, name),
                        *("--out", str(options.out)),
                    ],
                    check=True,
                )


if __name__ == "__main__":
    main()
