"""OSME against the formula in plain loops, and its limits."""

import json
import logging

import keras
import naive
import numpy as np
import pytest
import tensorflow as tf
from keras.src import testing

from mamc_keras import osme
from mamc_keras.osme import OSME

GRIDS = [None, 1, 2, 3]


def make_features(height=5, width=4, channels=6, batch_size=2, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(batch_size, height, width, channels))


def random_layer(shape, *args, seed=1, **kwargs):
    """Layer whose biases are not zero, so that a lost one is noticed."""
    layer = OSME(*args, **kwargs)
    layer.build(shape)
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(generator.normal(size=weight.shape) * 0.5)
    return layer


def branches(layer):
    """Weights of each branch as nested lists, by their names."""
    weights = {weight.path: weight.numpy() for weight in layer.weights}

    def find(ending):
        paths = [path for path in weights if path.endswith(ending)]
        assert len(paths) == 1, (ending, list(weights))
        return weights[paths[0]].tolist()

    return [
        {
            f"{kind}{number}": find(f"{role}_{p}/{name}")
            for number, role in enumerate(("reduce", "expand", "project"), 1)
            for kind, name in (("w", "kernel"), ("b", "bias"))
        }
        for p in range(layer.num_attentions)
    ]


# === The formula ===


@pytest.mark.parametrize("grid_size", GRIDS)
@pytest.mark.parametrize("num_attentions", [1, 3])
def test_matches_loops(grid_size, num_attentions):
    features = make_features()
    layer = random_layer(
        features.shape, num_attentions, 4, 2, grid_size, dtype="float64"
    )
    wanted = [
        naive.osme(image, branches(layer), grid_size)
        for image in features.tolist()
    ]
    embeddings, gates, maps = zip(*wanted, strict=True)
    np.testing.assert_allclose(layer(features), embeddings, 1e-10)
    np.testing.assert_allclose(layer.gates(features), gates, 1e-10)
    np.testing.assert_allclose(layer.attention_maps(features), maps, 1e-10)


@pytest.mark.parametrize("height, width", [(7, 7), (8, 6), (2, 5), (1, 1)])
@pytest.mark.parametrize("grid_size", [2, 3])
def test_cells_of_any_map(height, width, grid_size):
    features = make_features(height, width, 3)
    layer = random_layer(features.shape, 2, 2, 2, grid_size, dtype="float64")
    wanted = [
        naive.osme(image, branches(layer), grid_size)[0]
        for image in features.tolist()
    ]
    np.testing.assert_allclose(layer(features), wanted, 1e-10)


@pytest.mark.parametrize("grid_size", [None, 2])
def test_gradient_is_the_slope_of_the_loops(grid_size):
    features = make_features(3, 3, 4, batch_size=1)
    layer = random_layer(features.shape, 2, 3, 2, grid_size, dtype="float64")
    inputs = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = tf.reduce_sum(tf.sin(layer(inputs)))
    slope, *slopes = tape.gradient(value, [inputs, *layer.weights])

    def value_of_loops(image, parts):
        return np.sum(np.sin(naive.osme(image, parts, grid_size)[0]))

    step, image = 1e-5, features[0]
    for place in [(0, 0, 0), (1, 2, 3), (2, 1, 1)]:
        sides = []
        for move in (-step, step):
            moved = image.copy()
            moved[place] += move
            sides.append(value_of_loops(moved.tolist(), branches(layer)))
        np.testing.assert_allclose(
            slope[0][place], (sides[1] - sides[0]) / (2 * step), 1e-6, 1e-8
        )
    for weight, gradient in zip(layer.weights, slopes, strict=True):
        kept, sides = weight.numpy(), []
        place = tuple(size // 2 for size in kept.shape)
        for move in (-step, step):
            moved = kept.copy()
            moved[place] += move
            weight.assign(moved)
            sides.append(value_of_loops(image.tolist(), branches(layer)))
        weight.assign(kept)
        np.testing.assert_allclose(
            gradient[place], (sides[1] - sides[0]) / (2 * step), 1e-6, 1e-8
        )


@pytest.mark.parametrize("grid_size", GRIDS)
def test_without_gates_the_gates_are_one(grid_size, monkeypatch):
    features = make_features()
    options = {"use_gates": False, "dtype": "float64"}
    layer = random_layer(features.shape, 2, 4, 2, grid_size, **options)
    assert len(layer.weights) == 4
    count = OSME.count_weights(features.shape, 2, 4, 2, grid_size, False)
    assert layer.count_params() == count
    parts = [
        {"w3": kernel.numpy().tolist(), "b3": bias.numpy().tolist()}
        for kernel, bias in zip(
            layer.weights[::2], layer.weights[1::2], strict=True
        )
    ]
    zero = {"w1": [[0.0]] * 6, "b1": [0.0], "w2": [[0.0] * 6], "b2": [0.0] * 6}
    monkeypatch.setattr(naive, "sigmoid", lambda x: 1.0)
    wanted = [
        naive.osme(image, [{**zero, **part} for part in parts], grid_size)
        for image in features.tolist()
    ]
    embeddings, gates, maps = zip(*wanted, strict=True)
    np.testing.assert_allclose(layer(features), embeddings, 1e-10)
    np.testing.assert_array_equal(layer.gates(features), gates)
    np.testing.assert_allclose(layer.attention_maps(features), maps, 1e-10)
    again = OSME.from_config(layer.get_config())
    assert again.use_gates is False


def test_branches_start_different():
    keras.utils.set_random_seed(0)
    features = make_features(channels=64).astype("float32")
    layer = OSME(3, 8, reduction_ratio=4)
    embeddings = layer(features).numpy()
    gates = layer.gates(features).numpy()
    for p, q in [(0, 1), (0, 2), (1, 2)]:
        assert np.abs(embeddings[:, p] - embeddings[:, q]).max() > 0.1
        assert np.abs(gates[:, p] - gates[:, q]).max() > 1e-3
    assert np.all((gates > 0) & (gates < 1))


def test_hidden_size_is_never_zero():
    layer = OSME(1, 4, reduction_ratio=16, grid_size=1)
    layer.build((None, 2, 2, 3))
    assert layer.reducers[0].units == 1
    layer = OSME(1, 4, reduction_ratio=16, grid_size=1)
    layer.build((None, 2, 2, 48))
    assert layer.reducers[0].units == 3


# === As a Keras layer ===


class LayerTest(testing.TestCase):
    def test_layer_checks_of_keras(self):
        for grid_size in GRIDS:
            self.run_layer_test(
                OSME,
                init_kwargs={
                    "num_attentions": 2,
                    "embedding_dim": 3,
                    "reduction_ratio": 2,
                    "grid_size": grid_size,
                },
                input_shape=(2, 5, 4, 6),
                expected_output_shape=(2, 2, 3),
                expected_num_trainable_weights=12,
                expected_num_non_trainable_weights=0,
                expected_num_seed_generators=0,
                expected_num_losses=0,
                supports_masking=False,
            )


@pytest.mark.parametrize("grid_size", [1, 2, 3])
def test_unknown_map_size(grid_size):
    inputs = keras.Input((None, None, 6))
    layer = OSME(2, 3, 2, grid_size)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 2, 3)
    signature = tf.TensorSpec((None, None, None, 6))
    run = tf.function(model, input_signature=[signature])
    for size in [(5, 4), (9, 7), (1, 2)]:
        features = make_features(*size, batch_size=3).astype("float32")
        static = OSME(2, 3, 2, grid_size)
        static.build(features.shape)
        static.set_weights(layer.get_weights())
        np.testing.assert_allclose(run(features), static(features), 1e-5, 1e-6)


@pytest.mark.parametrize("grid_size, jit_compile", [(None, False), (2, True)])
def test_fit_with_unknown_batch_size(grid_size, jit_compile):
    features = make_features(4, 4, 6, batch_size=6).astype("float32")
    targets = np.zeros((6, 2, 3), "float32")
    dataset = tf.data.Dataset.from_tensor_slices((features, targets)).batch(6)
    inputs = keras.Input((4, 4, 6))
    model = keras.Model(inputs, OSME(2, 3, 2, grid_size)(inputs))
    model.compile("adam", "mse", jit_compile=jit_compile)
    history = model.fit(dataset, epochs=2, verbose=0, shuffle=False)
    losses = history.history["loss"]
    assert losses[1] < losses[0]


def test_gates_and_maps_of_a_functional_model():
    inputs = keras.Input((5, 4, 6))
    layer = OSME(2, 3, 2, grid_size=1)
    layer(inputs)
    outputs = [layer.gates(inputs), layer.attention_maps(inputs)]
    model = keras.Model(inputs, outputs)
    features = make_features().astype("float32")
    gates, maps = model(features)
    np.testing.assert_allclose(gates, layer.gates(features))
    np.testing.assert_allclose(maps, layer.attention_maps(features))
    assert gates.shape == (2, 2, 6) and maps.shape == (2, 2, 5, 4)


@pytest.mark.parametrize("use_gates", [True, False])
@pytest.mark.parametrize("grid_size", GRIDS)
def test_evidence_of_a_position_is_what_it_adds(grid_size, use_gates):
    features = make_features()
    layer = random_layer(
        features.shape, 2, 3, 2, grid_size, use_gates, dtype="float64"
    )
    directions = np.random.default_rng(5).normal(size=(2, 2, 3))
    found = layer.evidence(features, directions).numpy()
    assert found.shape == (2, 2, 5, 4)
    gates = layer.gates(features).numpy()
    for b, p, i, j in np.ndindex(found.shape):
        # S^p of this position alone, through pooling and projection by loops.
        alone = np.zeros((5, 4, 6))
        alone[i, j] = gates[b, p] * features[b, i, j]
        kernel = layer.projections[p].kernel.numpy()
        cells = alone.tolist()
        if grid_size:
            cells = naive.adaptive_pool(cells, grid_size)
        embedding = np.ravel(cells) @ kernel
        assert found[b, p, i, j] == pytest.approx(
            embedding @ directions[b, p], rel=1e-9
        )
    # Nothing else adds to the read-out but the bias.
    biases = np.stack([dense.bias.numpy() for dense in layer.projections])
    whole = ((layer(features).numpy() - biases) * directions).sum(axis=-1)
    np.testing.assert_allclose(found.sum(axis=(2, 3)), whole, rtol=1e-9)


def test_gates_build_the_layer():
    features = make_features().astype("float32")
    layer = OSME(2, 3, grid_size=1)
    gates = layer.gates(features)
    assert layer.built
    layer(features)
    np.testing.assert_array_equal(layer.gates(features), gates)


@pytest.mark.parametrize("grid_size", GRIDS)
def test_mixed_float16(grid_size):
    # The sum over 30 x 30 positions leaves float16, the mean does not.
    features = 200 + make_features(30, 30, 4).astype("float32")
    args = 2, 3, 2, grid_size
    exact = OSME(*args)
    exact.build(features.shape)
    half = OSME(*args, dtype="mixed_float16")
    half.build(features.shape)
    for weight in exact.weights:
        weight.assign(weight * 0.02)
    half.set_weights(exact.get_weights())
    assert half(features).dtype == "float16"
    assert half.gates(features).dtype == "float16"
    wanted = exact(features)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(half(features), wanted, 0, 0.01 * scale)
    np.testing.assert_allclose(
        half.attention_maps(features), exact.attention_maps(features), 0.01
    )


def test_saved_model_is_the_same(tmp_path):
    inputs = keras.Input((5, 4, 6))
    model = keras.Model(inputs, OSME(2, 3, 2, name="osme")(inputs))
    model.save(tmp_path / "osme.keras")
    again = keras.models.load_model(tmp_path / "osme.keras")
    features = make_features().astype("float32")
    np.testing.assert_array_equal(again(features), model(features))


def test_config_round_trip():
    layer = OSME(np.int64(3), 5, 7, 2, name="heads", dtype="float64")
    config = json.loads(json.dumps(keras.layers.serialize(layer)))
    again = keras.layers.deserialize(config)
    assert again.get_config() == layer.get_config()
    assert (again.num_attentions, again.grid_size) == (3, 2)


# === Limits ===


@pytest.mark.parametrize(
    "name", ["num_attentions", "embedding_dim", "reduction_ratio", "grid_size"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_wrong_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r}.*1 or more"):
        OSME(**{name: value})


@pytest.mark.parametrize("name", ["num_attentions", "embedding_dim"])
def test_none_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=None"):
        OSME(**{name: None})


@pytest.mark.parametrize("shape", [(6,), (4, 6), (4, 4, None), (4, 4, 4, 6)])
def test_wrong_inputs_are_refused(shape):
    with pytest.raises(ValueError, match="OSME needs a feature map"):
        OSME(grid_size=1)(keras.Input(shape))


def test_other_channels_are_refused():
    layer = OSME(grid_size=1)
    layer(make_features())
    with pytest.raises(ValueError, match="expected axis 3"):
        layer(make_features(channels=7))


@pytest.mark.parametrize("shape", [(None, 4, 6), (4, None, 6)])
def test_flattened_head_needs_a_static_map(shape):
    with pytest.raises(ValueError, match="grid_size=None.*grid_size=1"):
        OSME()(keras.Input(shape))


def test_flattened_head_takes_one_size_only():
    layer = OSME(2, 3)
    layer(make_features(2, 2))
    with pytest.raises(ValueError, match=r"\(2, 2\). Received: \(4, 4\)"):
        layer(make_features(4, 4))
    # Unknown while the graph is made: 4 x 4 must not become four images.
    signature = tf.TensorSpec((None, None, None, 6))
    run = tf.function(layer, input_signature=[signature])
    small = make_features(2, 2).astype("float32")
    np.testing.assert_allclose(run(small), layer(small), 1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(make_features(4, 4).astype("float32"))


@pytest.mark.parametrize("grid_size", GRIDS)
def test_weights_are_counted_before_building(grid_size):
    shape = (5, 4, 33)
    layer = OSME(3, 7, 16, grid_size)
    count = OSME.count_weights(shape, 3, 7, 16, grid_size)
    layer.build((None, *shape))
    assert layer.count_params() == count
    assert OSME.count_weights((None, *shape), 3, 7, 16, grid_size) == count
    if grid_size:
        unknown = (None, None, 33)
        assert OSME.count_weights(unknown, 3, 7, 16, grid_size) == count


def test_head_of_the_paper_at_448_pixels_is_refused(monkeypatch):
    assert OSME.count_weights((14, 14, 2048)) == 823_138_560
    monkeypatch.setattr(osme, "_physical_memory", lambda: 8 * 2**30)

    def allocate(*args, **kwargs):
        raise AssertionError("allocated before the check")

    monkeypatch.setattr(keras.layers.Layer, "add_weight", allocate)
    for call in (
        lambda: OSME()(keras.Input((14, 14, 2048))),
        lambda: OSME().build((None, 14, 14, 2048)),
    ):
        with pytest.raises(ValueError) as error:
            call()
        message = str(error.value)
        for part in ("823,138,560", "12.3 GiB", "8.0 GiB", "grid_size=1"):
            assert part in message


@pytest.mark.parametrize("memory", [None, 2**50], ids=["unknown", "enough"])
def test_large_head_is_said(memory, monkeypatch, caplog):
    monkeypatch.setattr(osme, "_physical_memory", lambda: memory)
    monkeypatch.setattr(OSME, "_dense", lambda *args: keras.layers.Identity())
    with caplog.at_level(logging.WARNING, logger="mamc_keras.osme"):
        OSME().build((None, 2, 2, 2048))
        assert not caplog.records
        OSME().build((None, 14, 14, 2048))
    assert "823,138,560 weights" in caplog.text


def test_physical_memory(monkeypatch):
    assert osme._physical_memory() > 2**28

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(osme.os, "sysconf", unknown)
    assert osme._physical_memory() is None
    monkeypatch.delattr(osme.os, "sysconf")
    assert osme._physical_memory() is None


# === LiteRT ===


@pytest.mark.parametrize(
    "grid_size, shape",
    [
        (None, (1, 5, 4, 8)),
        (None, (None, 5, 4, 8)),
        (1, (1, 5, 4, 8)),
        (1, (1, None, None, 8)),
        (2, (None, 5, 4, 8)),
        (2, (1, None, None, 8)),
    ],
    ids=str,
)
def test_converts_to_litert_builtins(grid_size, shape):
    layer = OSME(2, 6, 2, grid_size)
    features = make_features(5, 4, 8, batch_size=1).astype("float32")
    found, operations = run_litert(layer, shape, features)
    assert not any("VAR_HANDLE" in name for name in operations)
    np.testing.assert_allclose(found["embeddings"], layer(features), 1e-5, 1e-6)
    np.testing.assert_allclose(
        found["maps"], layer.attention_maps(features), 1e-5, 1e-6
    )


@pytest.mark.filterwarnings(
    "ignore:Statistics for quantized inputs",
    "ignore:.*tf.lite.Interpreter is deprecated",  # the converter's own use
)
@pytest.mark.parametrize("grid_size", [None, 1, 2])
def test_converts_to_int8(grid_size):
    layer = OSME(2, 6, 2, grid_size)
    features = make_features(5, 4, 8, batch_size=32).astype("float32")
    found, operations = run_litert(layer, (1, 5, 4, 8), features, int8=True)
    # One fully connected operation a matrix, all of them quantised: only
    # what goes in and out is float.
    assert operations.count("FULLY_CONNECTED") == 6
    assert operations.count("DEQUANTIZE") == len(found) == 2
    wanted = layer(features).numpy()
    error = np.abs(found["embeddings"] - wanted).max()
    assert error < 0.05 * np.abs(wanted).max()


def run_litert(layer, shape, features, int8=False):
    """Returns the outputs of a converted layer and its operations."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType

    inputs = keras.Input(batch_shape=shape, name="features")
    outputs = {
        "embeddings": layer(inputs),
        "maps": layer.attention_maps(inputs),
    }
    model = keras.Model(inputs, outputs)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        converter.representative_dataset = lambda: (
            {"features": image[None]} for image in features
        )
    content = converter.convert()
    run = Interpreter(model_content=content).get_signature_runner()
    found = [run(features=image[None]) for image in features]
    found = {
        name: np.concatenate([one[name] for one in found]) for name in outputs
    }
    # Without a delegate the operations keep the names of the file.
    plain = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    return found, [d["op_name"] for d in plain._get_ops_details()]
