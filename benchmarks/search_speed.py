"""How long a search takes, and what half precision and Faiss miss.

Synthetic: unit vectors of 2 x 512 in clusters of 500, as photos of a class
lie; one query at a time. "relative" is the median time as a multiple of
NumPy's on 100,000 vectors. "found" is the share of the true 10 nearest
(float32, every vector) among the 10 that were found.
With FOLDERs of class folders and a preset: recall@1 and R-precision
(leave-one-out), exact and as an index stores and searches.

Run: python benchmarks/search_speed.py [--sizes 1000 10000 100000 1000000]
     python benchmarks/search_speed.py --preset RUN --folders FOLDER
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from results import append_row
from results import is_done

from mamc_keras.search import approximate
from mamc_keras.search.exact import nearest
from mamc_keras.search.exact import query_vectors

HERE = Path(__file__).parent
SPEED = HERE / "results" / "search_speed.csv"
RECALL = HERE / "results" / "search_recall.csv"
SHAPE, CLUSTER, TOP, QUERIES, BASE = (2, 512), 500, 10, 20, 100_000


class Held:
    """What `approximate.candidates` needs of an index."""

    def __init__(self, vectors, folder):
        self.vectors, self.folder = vectors, folder

    def __len__(self):
        return len(self.vectors)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def clustered(count, file, seed=0):
    """Writes float16 vectors to a memory map; returns it and queries."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(2, count // CLUSTER), *SHAPE))
    centres = centres.astype(np.float32)
    vectors = np.lib.format.open_memmap(file, "w+", np.float16, (count, *SHAPE))

    def draw(number):
        # Two photos of a cluster then have a cosine of about 0.5.
        noise = rng.standard_normal((number, *SHAPE), np.float32)
        return unit(centres[rng.integers(len(centres), size=number)] + noise)

    for start in range(0, count, 8192):
        vectors[start : start + 8192] = draw(min(8192, count - start))
    return vectors, draw(QUERIES)


def timed(ask, queries):
    """Rows found and the median milliseconds of a query."""
    found, times = [], []
    for query in queries[:, None]:
        started = time.perf_counter()
        found.append(ask(query)[0][0])
        times.append(time.perf_counter() - started)
    return np.stack(found), 1000 * statistics.median(times)


def share(found, true):
    pairs = zip(found, true, strict=True)
    return np.mean([len(set(a) & set(b)) for a, b in pairs]) / TOP


def ways(vectors, folder):
    """The searches that can be compared, by name."""
    yield "NumPy", lambda query: nearest(vectors, query, TOP)
    if importlib.util.find_spec("faiss") and len(vectors) >= 10_000:
        started = time.perf_counter()
        approximate.build(vectors, folder / approximate.FILE, least=0)
        print(f"Faiss was built in {time.perf_counter() - started:.0f} s")
        held = Held(vectors, folder)

        def faiss(query):
            rows = approximate.candidates(held, query, TOP)
            return nearest(vectors, query, TOP, rows=rows)

        faiss(np.ones((1, *SHAPE), np.float32))  # reads the file
        yield "Faiss", faiss


def speed(sizes, file):
    base = None
    for count in sorted(sizes, key=lambda size: (size != BASE, size)):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            vectors, queries = clustered(count, folder / "vectors.npy")
            true = truth(vectors, queries)
            for name, ask in ways(vectors, folder):
                found, milliseconds = timed(ask, queries)
                base = base or milliseconds
                row = {
                    "photos": count,
                    "way": name,
                    "milliseconds": f"{milliseconds:.2f}",
                    "relative": f"{milliseconds / base:.4f}",
                    "found": f"{share(found, true):.4f}",
                }
                if not is_done(file, photos=count, way=name):
                    append_row(file, row)
                print(row)
            del vectors


def truth(vectors, queries):
    """The 10 nearest in float64, a block at a time."""
    asked = query_vectors(queries).astype(np.float64)
    every = [
        asked @ np.float64(vectors[i : i + 8192]).reshape(-1, asked.shape[1]).T
        for i in range(0, len(vectors), 8192)
    ]
    return np.argsort(-np.concatenate(every, axis=1), axis=1)[:, :TOP]


def recall(preset, folder, file):
    """Recall@1 and R-precision of a folder of class folders."""
    from mamc_keras.data.photo_files import find_photos
    from mamc_keras.evaluation.evaluate import load_model
    from mamc_keras.search.photos import embed_files

    names = find_photos(folder)
    paths = [str(folder / name) for name in names]
    vectors, good, _ = embed_files(load_model(preset), paths)
    labels = np.unique(
        [str(Path(names[i]).parent) for i in good], return_inverse=True
    )[1]
    others = np.bincount(labels)[labels] - 1
    most = int(others.max()) + 1
    stored = vectors.astype(np.float16)
    held = Held(stored, Path(tempfile.mkdtemp()))
    found = {
        "float32, every photo": nearest(vectors, vectors, most)[0],
        "float16, every photo": nearest(stored, vectors, most)[0],
    }
    if importlib.util.find_spec("faiss"):
        approximate.build(stored, held.folder / approximate.FILE, least=0)
        rows = approximate.candidates(held, vectors, most)
        found["Faiss"] = nearest(stored, vectors, most, rows=rows)[0]
    for name, rows in found.items():
        hits, precision = [], []
        for i, line in enumerate(rows):
            line = line[line != i][: others[i]]
            if others[i]:
                same = labels[line] == labels[i]
                hits.append(same[:1].any())
                precision.append(same.sum() / others[i])
        row = {
            "set": f"{folder.parent.name}/{folder.name}",
            "preset": Path(preset).name,
            "photos": len(vectors),
            "classes": int(labels.max()) + 1,
            "way": name,
            "recall@1": f"{np.mean(hits):.4f}",
            "r_precision": f"{np.mean(precision):.4f}",
        }
        append_row(file, row)
        print(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--preset")
    parser.add_argument("--folders", type=Path, nargs="*", default=[])
    parser.add_argument("--speed-csv", type=Path, default=SPEED)
    parser.add_argument("--recall-csv", type=Path, default=RECALL)
    options = parser.parse_args()
    sizes = options.sizes
    if not sizes and not options.folders:
        sizes = [1000, 10_000, BASE, 1_000_000]
    if sizes:
        speed({*sizes, BASE}, options.speed_csv)
    for folder in options.folders:
        recall(options.preset, folder, options.recall_csv)


if __name__ == "__main__":
    main()
