"""Metadata of .tflite files, by which MediaPipe finds image and labels.

The schema is TensorFlow Lite's metadata_schema.fbs; only the few tables that
a classifier or an embedder needs are written, field by field.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mamc_keras import __version__
from mamc_keras.lite import LABELS_FILE

NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
AXIS_LABELS, FEATURES, IMAGE, RGB = 2, 1, 2, 1


def with_metadata(contents, output):
    """Adds metadata to a .tflite file of one signature.

    Args:
        contents: bytes of the file.
        output: str, the name of its output; `"probabilities"` has labels.

    Returns:
        bytes.
    """
    model = schema.ModelT.InitFromPackedBuf(contents)
    data = np.frombuffer(_metadata(output), np.uint8)
    model.buffers.append(schema.BufferT(data=data))
    model.metadata = [
        *(model.metadata or []),
        schema.MetadataT(name=NAME, buffer=len(model.buffers) - 1),
    ]
    builder = _AlignedBuilder(len(contents) + len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """Keeps weights at addresses that runtimes read them from fast."""

    def StartVector(self, elemSize, numElems, alignment):  # noqa: N802, N803
        alignment = 16 if elemSize == 1 else alignment
        return super().StartVector(elemSize, numElems, alignment)


def _metadata(output):
    builder = flatbuffers.Builder(1024)
    image = _table(builder, [("byte", RGB), ("offset", None)])
    image = _content(builder, IMAGE, image)
    image = _tensor(builder, "image", image)
    files = []
    if output == "probabilities":
        name = builder.CreateString(LABELS_FILE)
        fields = [("offset", name), ("offset", None), ("byte", AXIS_LABELS)]
        files = [_table(builder, fields)]
    numbers = _content(builder, FEATURES, _table(builder, []))
    answer = _tensor(builder, output, numbers, files)
    subgraph = _table(
        builder,
        [
            ("offset", None),
            ("offset", None),
            ("offset", _vector(builder, [image])),
            ("offset", _vector(builder, [answer])),
        ],
    )
    fields = [
        ("offset", builder.CreateString("mamc_keras")),
        ("offset", None),
        ("offset", builder.CreateString(__version__)),
        ("offset", _vector(builder, [subgraph])),
        *[("offset", None)] * 3,
        # The parser's version that knows all of these fields.
        ("offset", builder.CreateString("1.0.0")),
    ]
    builder.Finish(_table(builder, fields), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder, name, content, files=()):
    fields = [
        ("offset", builder.CreateString(name)),
        *[("offset", None)] * 2,
        ("offset", content),
        *[("offset", None)] * 2,
        ("offset", _vector(builder, files) if files else None),
    ]
    return _table(builder, fields)


def _content(builder, kind, properties):
    return _table(builder, [("byte", kind), ("offset", properties)])


def _vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _table(builder, fields):
    builder.StartObject(len(fields))
    for slot, (kind, value) in enumerate(fields):
        if value is None:
            continue
        if kind == "byte":
            builder.PrependInt8Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()
