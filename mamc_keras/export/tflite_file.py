"""Reads what is really inside a .tflite file.

The converter can write broken files without an error: operations that no
phone has, or variables that nobody fills. So every file is read back.
"""

import collections
import dataclasses
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Input number of the weights of the operations that hold nearly all of them.
WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
FOREIGN = ("CUSTOM", "DELEGATE")
VARIABLES = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a .tflite file holds.

    Args:
        operations: dict from the name of an operation to its number; an
            operation that is not built in is called `CUSTOM:name`.
        weight_types: dict from the type of the weights of convolutions and
            dense layers to the number of them.
        per_channel: int, how many of these have a scale for each channel.
        int8_share: float, the share of values passed between operations
            (activations) that are int8.
        parameters: int, numbers stored in the file.
        signatures: tuple of str.
    """

    operations: dict[str, int]
    weight_types: dict[str, int]
    per_channel: int
    int8_share: float
    parameters: int
    signatures: tuple[str, ...]

    def unusable(self):
        """Names the operations that a plain runtime cannot run.

        Returns:
            list of str.
        """
        return sorted(
            name
            for name in self.operations
            if name.split(":")[0] in (*FOREIGN, *VARIABLES)
        )


def read_contents(path):
    """Reads a .tflite file without running it.

    Args:
        path: str or Path.

    Returns:
        A `Contents`.

    Raises:
        ValueError: when it is none.
    """
    contents = Path(path).read_bytes()
    if contents[4:8] != b"TFL3":
        raise ValueError(
            f"This is no .tflite file. Received: {str(path)!r}. Write one "
            "with `mamc export`."
        )
    model = schema.Model.GetRootAs(contents)
    operations = collections.Counter()
    weight_types = collections.Counter()
    per_channel = activations = int8 = 0
    stored = {}
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for i in range(graph.TensorsLength()):
            tensor = graph.Tensors(i)
            if model.Buffers(tensor.Buffer()).DataLength():
                # Signatures share their weights: a buffer counts once.
                stored[tensor.Buffer()] = int(np.prod(tensor.ShapeAsNumpy()))
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            name = _operation_name(model.OperatorCodes(operator.OpcodeIndex()))
            operations[name] += 1
            if name in WEIGHTS:
                weights = graph.Tensors(operator.Inputs(WEIGHTS[name]))
                weight_types[_type_name(weights)] += 1
                per_channel += (
                    weights.Quantization().ScaleLength() > 1
                    if (weights.Quantization())
                    else 0
                )
            for k in range(operator.OutputsLength()):
                activations += 1
                output = graph.Tensors(operator.Outputs(k))
                int8 += _type_name(output) == "INT8"
    return Contents(
        operations=dict(operations),
        weight_types=dict(weight_types),
        per_channel=per_channel,
        int8_share=int8 / max(activations, 1),
        parameters=sum(stored.values()),
        signatures=tuple(
            model.SignatureDefs(i).SignatureKey().decode()
            for i in range(model.SignatureDefsLength())
        ),
    )


def check_operations(path, variant):
    """Makes sure that every runtime can run a file, and that int8 is int8.

    Args:
        path: str or Path of a .tflite file.
        variant: str, as in `export_litert`.

    Raises:
        ValueError: names what is wrong.
    """
    contents = read_contents(path)
    if contents.unusable():
        raise ValueError(
            "The network needs operations that plain runtimes do not have. "
            f"Received: {', '.join(contents.unusable())}. Use another "
            "backbone; those of EfficientNet-Lite, MobileNet and ResNet work."
        )
    allowed = {
        "dynamic": {"INT8", "FLOAT32"},  # Small weights stay float32.
        "int8": {"INT8"},
        "mixed": {"INT8", "FLOAT32"},
    }.get(variant, {"FLOAT32"})
    found = set(contents.weight_types)
    if not found <= allowed or ("INT8" in allowed and "INT8" not in found):
        raise ValueError(
            f"Some weights are not what {variant} promises. Received: weights "
            f"of the types {contents.weight_types}. Use another backbone, or "
            "export as float16."
        )


def _names(enumeration):
    return {
        value: name
        for name, value in vars(enumeration).items()
        if not name.startswith("_")
    }


_OPERATIONS = _names(schema.BuiltinOperator)
_TYPES = _names(schema.TensorType)


def _operation_name(code):
    # Files of old converters number their operations in the older field.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _OPERATIONS.get(number, f"CUSTOM:{number}")
    custom = code.CustomCode()
    return f"CUSTOM:{custom.decode()}" if custom else name


def _type_name(tensor):
    return _TYPES[tensor.Type()]
