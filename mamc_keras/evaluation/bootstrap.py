"""How sure is a difference between two classifiers on the same photos?"""

import numpy as np

RESAMPLES = 2000


def paired_difference(first, second, level=0.95, seed=0):
    """Difference in accuracy with a bootstrap interval over runs and photos.

    Both are resampled at once, the same runs and photos for both
    classifiers, so that what a photo or a seed does to both cancels.

    Args:
        first: bool array `(runs, photos)`, or `(photos,)` for one run each:
            whether the answer was right.
        second: bool array of the same shape, the same seeds and photos.
        level: float in `(0, 1)`. Share of the resamples inside the interval.
        seed: int.

    Returns:
        Tuple of three floats: `first`'s accuracy minus `second`'s, and the
        lower and the upper end of its interval.

    Raises:
        ValueError: on shapes that do not pair, or no photos.

    Reference:

    - [Efron and Tibshirani, 1993](https://doi.org/10.1201/9780429246593)
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    if first.shape != second.shape or not first.size or first.ndim != 2:
        raise ValueError(
            "A paired difference needs the same runs and photos of both. "
            f"Received: shapes {first.shape} and {second.shape}."
        )
    difference = first.astype(float) - second.astype(float)
    runs, photos = difference.shape
    rng = np.random.default_rng(seed)
    # How often each run and photo is drawn; a resample's mean is then one
    # product, and no copy of the table is made.
    run_counts = rng.multinomial(runs, np.full(runs, 1 / runs), RESAMPLES)
    means = np.empty(RESAMPLES)
    even = np.full(photos, 1 / photos)
    for i in range(RESAMPLES):
        photo_counts = rng.multinomial(photos, even)
        means[i] = run_counts[i] @ difference @ photo_counts
    means /= runs * photos
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(difference.mean()), float(low), float(high)
