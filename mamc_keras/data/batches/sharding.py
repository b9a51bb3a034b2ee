"""One worker's part of every batch of a plan."""


class PlanShard:
    """What one of several workers feeds: some classes of every batch.

    Worker `w` of `W` takes the classes `w * N // W` to `(w + 1) * N // W` of
    the `N` in a batch, in the order of the plan. So the workers' parts laid
    side by side are the plan itself; no image is lost or doubled, and the
    images of a class stay together. Where `W` divides `N` all parts are
    equal, otherwise some workers have one class more than others, in every
    batch the same ones.

    It stands wherever a plan does.

    Args:
        plan: `NPairPlan`.
        worker: int, from 0.
        num_workers: int, at most `plan.classes_per_batch`.

    Attributes:
        classes_per_batch: int, of this worker.
        images_per_class: int.
        batch_size: int, of this worker.
        num_images: int. All images: the others' come up too, in other
            epochs.
        steps_per_epoch: int, the same for every worker.
        rules: tuple of str, those of the plan.
        columns: slice. This worker's part of the rows of `plan.batches`.
        row_size: int. Images in such a row.

    Raises:
        ValueError: when there is no such worker, or no class for it.
    """

    def __init__(self, plan, worker, num_workers):
        classes = plan.classes_per_batch
        if not 0 <= worker < num_workers <= classes:
            raise ValueError(
                "Each worker takes one class of a batch or more. Received: "
                f"worker={worker}, num_workers={num_workers}, and a plan "
                f"with {classes} classes in a batch. Raise "
                "classes_per_batch or use fewer workers."
            )
        first = worker * classes // num_workers
        last = (worker + 1) * classes // num_workers
        self._plan = plan
        self.classes_per_batch = last - first
        self.images_per_class = plan.images_per_class
        self.batch_size = self.classes_per_batch * plan.images_per_class
        self.num_images = plan.num_images
        self.steps_per_epoch = plan.steps_per_epoch
        self.rules = plan.rules
        self.row_size = plan.row_size
        self.columns = slice(
            first * plan.images_per_class, last * plan.images_per_class
        )

    def batches(self, epoch, start_step=0, stop_step=None):
        """Plans this worker's part; see `NPairPlan.batches`.

        Args:
            epoch: int, 0 or more.
            start_step: int.
            stop_step: int or `None`.

        Returns:
            int64 array of shape `(stop_step - start_step, batch_size)`.
        """
        return self._plan.batches(epoch, start_step, stop_step)[:, self.columns]

    def iter_batches(self, epoch, start_step=0):
        """Yields this worker's part; see `NPairPlan.iter_batches`.

        Args:
            epoch: int, 0 or more.
            start_step: int.

        Returns:
            An iterator of int64 arrays `(batch_size,)`.
        """
        batches = self._plan.iter_batches(epoch, start_step)
        return (batch[self.columns] for batch in batches)
