"""Heat maps laid over photos, as arrays: what `attention_plot` draws."""

import numpy as np
from matplotlib import colormaps

# In units of a cell's mean share. Branches that differ less than this stay
# pale: noise must not be blown up to a pattern.
LEAST_DIFFERENCE = 0.1
RED = np.array([0.80, 0.05, 0.10])
BLUE = np.array([0.05, 0.25, 0.85])


def differences(maps):
    """What sets the branches of each photo apart.

    Each map is divided by its sum, which gives the share of attention of
    each place, in units of the mean share: 1 everywhere for an even map.

    Args:
        maps: float array `(n, num_attentions, h, w)`, not negative.

    Returns:
        float array: `(n, 1, h, w)`, the first minus the second of two
        branches; `(n, num_attentions, h, w)`, each minus the mean of all,
        for more; `(n, 0, h, w)` for one.
    """
    shares = _shares(maps)
    if shares.shape[1] == 1:
        return shares[:, :0]
    if shares.shape[1] == 2:
        return shares[:, :1] - shares[:, 1:]
    return shares - shares.mean(axis=1, keepdims=True)


def share_elsewhere(maps):
    """Part of the attention that two branches of a photo do not share.

    Args:
        maps: float array `(n, num_attentions, h, w)`, not negative.

    Returns:
        float array `(n,)`: the mean over pairs of branches, 0 for equal maps
        and 1 for branches that never look at the same place; 0 for one.
    """
    shares = _shares(maps)
    first, second = np.triu_indices(shares.shape[1], k=1)
    if not len(first):
        return np.zeros(len(shares))
    apart = np.abs(shares[:, first] - shares[:, second])
    return apart.mean(axis=(1, 2, 3)) / 2


def heat(photo, values):
    """Lays a map over a photo, scaled from its lowest to highest value.

    Args:
        photo: uint8 array `(height, width, 3)`.
        values: float array `(h, w)`.

    Returns:
        float array `(height, width, 3)`, 0..1.
    """
    low, high = values.min(), values.max()
    warm = (values - low) / max(high - low, 1e-12)
    warm = enlarge(warm, photo.shape[:2])[..., None]
    colours = colormaps["inferno"](0.25 + 0.75 * warm[..., 0])[..., :3]
    # Cold places stay as they are, only darker: the object must be seen.
    dark = photo / 255 * (0.45 + 0.55 * warm)
    return np.clip(dark + 0.65 * warm * (colours - dark), 0, 1)


def tint(photo, values, limit):
    """Colours a grey photo: red above zero, blue below.

    Args:
        photo: uint8 array `(height, width, 3)`.
        values: float array `(h, w)`.
        limit: float. The value that gets the full colour.

    Returns:
        float array `(height, width, 3)`, 0..1.
    """
    values = np.clip(enlarge(values / limit, photo.shape[:2]), -1, 1)[..., None]
    grey = photo.mean(axis=2, keepdims=True) / 255 * 0.6 + 0.35
    colour = np.where(values > 0, RED, BLUE)
    return np.clip(grey + 0.8 * np.abs(values) * (colour - grey), 0, 1)


def enlarge(values, size):
    """Bilinear, pixel centres aligned, edges continued.

    Args:
        values: float array `(h, w)`.
        size: `(height, width)`.

    Returns:
        float array `(height, width)`.
    """
    for length in size:
        places = (np.arange(length) + 0.5) * len(values) / length - 0.5
        places = np.clip(places, 0, len(values) - 1)
        below = np.floor(places).astype(int)
        above = np.minimum(below + 1, len(values) - 1)
        part = (places - below)[:, None]
        # Transposed, so that the second round does the columns.
        values = (values[below] * (1 - part) + values[above] * part).T
    return values


def _shares(maps):
    maps = np.asarray(maps, np.float64)
    means = maps.mean(axis=(2, 3), keepdims=True)
    # A map without any heat is spread evenly.
    return np.where(means > 0, maps / np.where(means > 0, means, 1), 1.0)
