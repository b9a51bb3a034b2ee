"""An index on disk: unit vectors, the photos they belong to, and a preset.

`vectors.npy` holds float16 `(n, num_attentions, embedding_dim)` and is read
through a memory map; `paths.txt` one photo a line, from the indexed folder;
`skipped.txt` the files that could not be read and why; `index.json` the rest.
Only NumPy is needed here.
"""

import json
import os
from pathlib import Path

import numpy as np

from mamc_keras.search import approximate
from mamc_keras.search.exact import check_branch
from mamc_keras.search.exact import nearest

FORMAT = 1
SETTINGS_FILE = "index.json"
VECTORS_FILE = "vectors.npy"
PATHS_FILE = "paths.txt"
SKIPPED_FILE = "skipped.txt"


class Index:
    """What `build_index` wrote.

    Args:
        folder: str or Path.

    Raises:
        ValueError: when it is no finished index, or damaged.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        file = self.folder / SETTINGS_FILE
        if not file.is_file():
            begun = (self.folder / "parts").is_dir()
            advice = (
                "It is not finished: run the same mamc index command again."
                if begun
                else "Give a folder that mamc index wrote."
            )
            raise ValueError(
                f"There is no index. Received: {str(folder)!r}. {advice}"
            )
        try:
            self.settings = json.loads(file.read_text(encoding="utf-8"))
            if self.settings["format"] > FORMAT:
                raise ValueError(f"format {self.settings['format']}")
            self.vectors = np.load(self.folder / VECTORS_FILE, mmap_mode="r")
            lines = (self.folder / PATHS_FILE).read_bytes().split(b"\n")[:-1]
            self.paths = [os.fsdecode(line) for line in lines]
            if self.vectors.shape[0] != len(self.paths):
                raise ValueError(
                    f"{len(self.vectors)} vectors, {len(self.paths)} paths"
                )
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"The index is damaged or of a newer version ({error}). "
                f"Received: {str(folder)!r}. Build it again with mamc index."
            ) from error

    def __len__(self):
        return len(self.paths)

    def file(self, row):
        """Path of the photo of a row."""
        return os.path.join(self.settings["photos"], self.paths[row])

    def nearest(self, queries, top=10, branch=None, exact=False):
        """Finds the most similar photos.

        Args:
            queries: float array `(q, num_attentions, embedding_dim)`, as
                `model.embed` gives it.
            top: int. How many; fewer when the index holds fewer.
            branch: int, the attention branch to compare, from 0; all of
                them by default.
            exact: bool. Compare with every photo, however many there are.

        Returns:
            `(rows, cosines)`: int64 and float32 arrays `(q, top)`, the most
            similar first. Cosines are exact even where the choice of rows is
            not.

        Raises:
            ValueError: on a shape, `top` or `branch` that does not fit.
        """
        check_branch(self.vectors.shape, queries, top, branch)
        if branch is None and not exact:
            found = approximate.candidates(self, queries, top)
            if found is not None:
                return nearest(self.vectors, queries, top, rows=found)
        return nearest(self.vectors, queries, top, branch)
