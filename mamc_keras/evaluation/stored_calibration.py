"""What a preset stores so that its answers can be believed.

`calibration.json`, for people and programs, and `prototypes.npy` beside it
when the score needs them. Only NumPy is imported here.
"""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np

from mamc_keras.evaluation import unknown
from mamc_keras.files import atomic_path
from mamc_keras.lite.file import PROTOTYPES_FILE

SETTINGS_FILE = "calibration.json"
FILES = (SETTINGS_FILE, PROTOTYPES_FILE)
FORMAT = 1
LOGIT_SCORES = {
    "max_probability": unknown.max_probability,
    "energy": unknown.energy,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """A temperature, and a threshold for photos of none of the classes.

    Args:
        temperature: float. Probabilities are `softmax(logits / temperature)`.
        score: `"prototype"`, `"energy"` or `"max_probability"`: how a photo
            is scored, see `mamc_keras.evaluation.unknown`.
        threshold: float. A photo that scores lower is perhaps of no class.
        false_alarm_rate: float. The share of photos of known classes that
            the threshold was set to call unknown.
        images: int. Validation photos that all this comes from.
        prototypes: float16 array `(K, num_attentions * embedding_dim)` for
            the score `"prototype"`, else `None`.

    Raises:
        ValueError: on a score that does not exist or lacks its prototypes.
    """

    temperature: float
    score: str
    threshold: float
    false_alarm_rate: float
    images: int
    prototypes: np.ndarray | None = None

    def __post_init__(self):
        known = ("prototype", *LOGIT_SCORES)
        needs = self.score == "prototype"
        if self.score not in known or needs == (self.prototypes is None):
            given = "none" if self.prototypes is None else "given"
            raise ValueError(
                "The score is one of "
                f"{', '.join(known)}, and the first alone has prototypes. "
                f"Received: score={self.score!r}, prototypes {given}."
            )

    def known_score(self, logits, embeddings):
        """Says how well known photos are.

        Args:
            logits: float array `(n, K)`.
            embeddings: float array `(n, num_attentions, embedding_dim)`.

        Returns:
            float array `(n,)`, lower for photos of something else.
        """
        if self.score == "prototype":
            return unknown.nearest_prototype(embeddings, self.prototypes)
        return LOGIT_SCORES[self.score](logits)

    def is_unknown(self, logits, embeddings):
        """Says which photos are perhaps of none of the classes.

        Args:
            logits, embeddings: as in `known_score`.

        Returns:
            bool array `(n,)`.
        """
        return self.known_score(logits, embeddings) < self.threshold

    def settings(self):
        """Everything but the prototypes, as `calibration.json` has it.

        Returns:
            dict of JSON values.
        """
        fields = dataclasses.fields(self)
        values = {f.name: getattr(self, f.name) for f in fields}
        del values["prototypes"]
        return {"format": FORMAT, **values}

    def files(self):
        """The calibration as files, for a preset or the zip in a .tflite.

        Returns:
            dict of bytes by file name.
        """
        files = {}
        if self.prototypes is not None:
            stream = io.BytesIO()
            np.save(stream, self.prototypes)
            files[PROTOTYPES_FILE] = stream.getvalue()
        text = json.dumps(self.settings(), indent=2) + "\n"
        # The last one: without it there is no calibration.
        return {**files, SETTINGS_FILE: text.encode()}

    def save(self, folder):
        """Writes the calibration into the folder of a preset.

        Args:
            folder: str or Path.
        """
        for name, contents in self.files().items():
            with atomic_path(Path(folder) / name) as file:
                file.write_bytes(contents)

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote.

        Args:
            folder: str or Path.

        Returns:
            A `Calibration`; `None` when the folder holds none.

        Raises:
            ValueError: when it is damaged or of a later format.
        """
        paths = [Path(folder) / name for name in FILES]
        files = {p.name: p.read_bytes() for p in paths if p.is_file()}
        return cls.from_files(files, folder)

    @classmethod
    def from_files(cls, files, where):
        """Reads what `files` gave.

        Args:
            files: dict of bytes by file name.
            where: str or Path, for messages: whose files they are.

        Returns:
            A `Calibration`; `None` when they hold none.

        Raises:
            ValueError: when they are damaged or of a later format.
        """
        if SETTINGS_FILE not in files:
            return None
        try:
            settings = json.loads(files[SETTINGS_FILE])
            written = settings.pop("format")
            if written <= FORMAT:
                if settings["score"] == "prototype":
                    stream = io.BytesIO(files[PROTOTYPES_FILE])
                    settings["prototypes"] = np.load(stream)
                return cls(**settings)
        except (EOFError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"The calibration of a model is damaged ({error}). Received: "
                f"{SETTINGS_FILE} of {str(where)!r}. Copy the model again, or "
                f"remove {SETTINGS_FILE} to use it without."
            ) from error
        raise ValueError(
            "The calibration was saved by a newer mamc_keras. Received: "
            f"{SETTINGS_FILE} of {str(where)!r}, format {written}; this "
            f"version reads formats up to {FORMAT}. Run: pip install --upgrade "
            "mamc_keras"
        )
