"""Which images form a batch: some classes, several images of each.

NumPy only. A plan is a function of labels, seed and epoch number, so a
training run is resumed by (seed, epoch, step) and nothing has to be stored.
"""

import numpy as np

from mamc_keras.data.batches.class_images import sort_by_class
from mamc_keras.data.batches.dealing import deal
from mamc_keras.data.batches.dealing import fair_shares
from mamc_keras.data.batches.dealing import mix

# Places (batches x classes) that are mixed at a time: enough that any two
# classes meet as often as with independent draws, few enough to take a
# fraction of a second.
_WINDOW_PLACES = 2**16


class NPairPlan:
    """Deals images into batches of `classes_per_batch x images_per_class`.

    Every image is shown in every epoch. The images of a class are shuffled
    and cut into groups of `images_per_class`; the groups are dealt to batches
    so that no class comes twice in a batch, and the batches are then mixed
    until any two classes meet as often as with independent draws. What has
    to be adapted to the data is said in `rules`:

    - A class with fewer than `images_per_class` images repeats them to fill
      its group (a differently augmented photo is a weak partner, but without
      it the class would never be learned).
    - With fewer classes than `classes_per_batch`, that number is lowered.
    - Incomplete groups and batches are filled with images of an extra pass,
      each class in proportion to its size.
    - A class may come once in a batch, so one very large class forces as many
      batches as it has groups; the other classes are then repeated.

    The plan of a long epoch is made piece by piece as it is asked for. It
    holds 4 bytes an image, and 4 more for each image shown in an epoch.

    Args:
        labels: int array of shape `(num_images,)`. Any integers.
        classes_per_batch: int. Different classes in a batch, `N` in the
            paper. At least 2.
        images_per_class: int. Different images of each. At least 2.
        seed: int, 0 or more.

    Attributes:
        classes_per_batch: int, lowered where there are fewer classes.
        images_per_class: int.
        batch_size: int, the product of the two.
        num_images: int.
        columns: slice. The whole row of images of a batch; a `PlanShard`
            has a part of one.
        row_size: int. Images in such a row.
        steps_per_epoch: int, the same for every epoch.
        rules: tuple of str. What was adapted, in plain sentences.
    """

    def __init__(self, labels, classes_per_batch, images_per_class, seed=0):
        labels = np.asarray(labels)
        _check_arguments(labels, classes_per_batch, images_per_class, seed)
        self.num_images = len(labels)
        self._classes = sort_by_class(labels)
        self._sizes = self._classes.sizes
        classes = labels[self._classes.images[self._classes.starts]]
        if len(classes) < 2:
            raise ValueError(
                "MAMC needs images of at least two classes. Received: "
                f"{len(labels)} labels of {len(classes)} class."
            )
        self.classes_per_batch = min(int(classes_per_batch), len(classes))
        self.images_per_class = int(images_per_class)
        self.batch_size = self.classes_per_batch * self.images_per_class
        self.row_size = self.batch_size
        self.columns = slice(0, self.row_size)
        self._seed = int(seed)
        self._groups = -(-self._sizes // self.images_per_class)
        by_total = -(-self._groups.sum() // self.classes_per_batch)
        self.steps_per_epoch = int(max(by_total, self._groups.max()))
        self.rules = tuple(
            self._describe(classes, int(classes_per_batch), by_total)
        )
        self._window_steps = max(_WINDOW_PLACES // self.classes_per_batch, 256)
        self._last_epoch = self._last_window = (None, None)

    def batches(self, epoch, start_step=0, stop_step=None):
        """Plans one epoch, or the part of it between two steps.

        Args:
            epoch: int, 0 or more.
            start_step: int. First batch of the part.
            stop_step: int. The batch after its last one; `None` is the end
                of the epoch.

        Returns:
            int64 array of shape `(stop_step - start_step, batch_size)`:
            indices into the labels, the images of one class next to each
            other. A part holds the same batches as the whole.

        Raises:
            ValueError: when there are no such steps.
        """
        step, stop = self._check_steps(epoch, start_step, stop_step)
        result = np.empty((stop - step, self.batch_size), np.int64)
        done = 0
        while done < len(result):
            part = self._window_from(int(epoch), step + done)
            part = part[: len(result) - done]
            result[done : done + len(part)] = part
            done += len(part)
        return result

    def iter_batches(self, epoch, start_step=0):
        """Yields the batches of an epoch, planning only as far as it is read.

        Args:
            epoch: int, 0 or more.
            start_step: int. Batches of that epoch that were done already.

        Returns:
            An iterator of int64 arrays `(batch_size,)`, the rows of
            `batches(epoch, start_step)`.
        """
        self._check_steps(epoch, start_step, None)
        return self._iterate(epoch, start_step)

    def _iterate(self, epoch, start_step):
        for step in range(start_step, self.steps_per_epoch, 256):
            stop = min(step + 256, self.steps_per_epoch)
            yield from self.batches(epoch, step, stop)

    def _check_steps(self, epoch, start_step, stop_step):
        last = self.steps_per_epoch
        stop = last if stop_step is None else stop_step
        if epoch < 0 or not 0 <= start_step <= stop <= last:
            raise ValueError(
                f"An epoch has the steps 0 to {last}. Received: "
                f"epoch={epoch}, start_step={start_step}, "
                f"stop_step={stop_step}."
            )
        return int(start_step), int(stop)

    def _window_from(self, epoch, step):
        """The batches from a step to the end of its window."""
        first_steps = self._plan_epoch(epoch)[0].first_steps
        number = int(np.searchsorted(first_steps, step, side="right")) - 1
        key, window = self._last_window
        if key != (epoch, number):
            window = self._plan_window(epoch, number)
            self._last_window = ((epoch, number), window)
        return window[step - first_steps[number] :]

    def _plan_epoch(self, epoch):
        key, plan = self._last_epoch
        if key != epoch:
            self._last_epoch = (None, None)  # Frees its memory for the next.
            rng = np.random.default_rng([self._seed, epoch])
            steps, width = self.steps_per_epoch, self.classes_per_batch
            shares = fair_shares(self._groups, steps * width, steps, rng)
            dealt = deal(shares, steps, width, self._window_steps, rng)
            turns = self._classes.shuffle(shares, self.images_per_class, rng)
            plan = (dealt, turns)
            self._last_epoch = (epoch, plan)
        return plan

    def _plan_window(self, epoch, number):
        dealt, class_turns = self._plan_epoch(epoch)
        rng = np.random.default_rng([self._seed, epoch, number + 1])
        table, turns = dealt.window(number)
        classes = self._arrange(table, rng).ravel()
        # Which turn of a class goes to which of its batches does not matter,
        # as its images are shuffled.
        turn = np.empty_like(classes)
        turn[np.argsort(classes, kind="stable")] = turns.ravel()[
            np.argsort(table, axis=None, kind="stable")
        ]
        images = class_turns.images(classes, turn)
        return images.reshape(-1, self.batch_size)

    def _arrange(self, table, rng):
        """Says which classes of a window meet; keeps how often each comes."""
        return mix(table, rng)

    def _describe(self, classes, wanted, by_total):
        m, steps = self.images_per_class, self.steps_per_epoch
        if self.classes_per_batch < wanted:
            yield (
                f"There are {len(classes)} classes, so a batch holds "
                f"{self.classes_per_batch} classes instead of {wanted}."
            )
        lone = int(np.sum(self._sizes < m))
        if lone:
            yield (
                f"{lone} of {len(classes)} classes have fewer than {m} "
                "images: theirs are repeated within a batch."
            )
        if steps > by_total:
            largest = int(np.argmax(self._groups))
            yield (
                f"The largest class (label {classes[largest]}, "
                f"{self._sizes[largest]} images) needs {steps} batches, "
                f"since a class comes once in a batch; {by_total} would do "
                "for the number of images."
            )
        repeats = steps * self.batch_size - self.num_images
        if repeats:
            yield (
                f"An epoch has {steps} batches of {self.batch_size}: each "
                f"of the {self.num_images} images once, and {repeats} "
                "repeats that fill groups and batches."
            )


def _check_arguments(labels, classes_per_batch, images_per_class, seed):
    if images_per_class < 2:
        raise ValueError(
            "MAMC needs at least two images of a class in a batch. "
            f"Received: images_per_class={images_per_class}. "
            "Set it to 2 or more."
        )
    if classes_per_batch < 2:
        raise ValueError(
            "MAMC needs at least two classes in a batch. "
            f"Received: classes_per_batch={classes_per_batch}. "
            "Set it to 2 or more."
        )
    if seed < 0:
        raise ValueError(f"The seed must be 0 or more. Received: seed={seed}.")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "labels must be one integer per image. Received: shape "
            f"{labels.shape}, dtype {labels.dtype}."
        )
    if not len(labels):
        raise ValueError(
            "There are no images to make batches of. Received: 0 labels."
        )
    if len(labels) >= 2**31:
        raise ValueError(
            "A plan holds less than 2,147,483,648 images. Received: "
            f"{len(labels)} labels. Make a plan for each part of them."
        )
