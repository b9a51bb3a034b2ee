"""The tables of docs/scaling.md, and the model that projects them."""

import dataclasses

from markdown import rows
from markdown import table


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the projection assumes; no number here was measured by us.

    Args:
        per_replica: int. Images of a replica in a step.
        images_per_second: float. Of one accelerator alone, network included.
        weights: float. Weights whose gradients are added up.
        attentions: int.
        size: int. Embedding size.
        near: float. Bytes a second between accelerators of one machine.
        far: float. The same between machines.
        accelerators: int. In one machine.
        hop: float. Seconds that one hop of a ring adds.
        flops: float. Of a matrix product, operations a second.
        memory: float. Bytes a second of an accelerator's memory.
        passes: int. Times that an element of the matrix is read or written,
            forward, again, and backward.
    """

    per_replica: int = 32
    images_per_second: float = 1000
    weights: float = 25.6e6
    attentions: int = 2
    size: int = 512
    near: float = 200e9
    far: float = 25e9
    accelerators: int = 8
    hop: float = 5e-6
    flops: float = 50e12
    memory: float = 1e12
    passes: int = 150


def exchange(machine, gathered, returned, replicas):
    """Bytes sent by a replica, and seconds, for the embeddings of a step.

    Args:
        machine: `Machine`.
        gathered: float. Bytes gathered of each of the `B P D` numbers.
        returned: float. Bytes added up of each, for the gradient.
        replicas: int. That gather together.
    """
    batch = machine.per_replica * replicas
    numbers = batch * machine.attentions * machine.size
    # A ring sends (R - 1) / R of the result, and twice that for a sum.
    sent = (gathered + 2 * returned) * numbers * (replicas - 1) / replicas
    hops = 3 * (replicas - 1)
    return sent, sent / _link(machine, replicas) + hops * machine.hop


def loss_seconds(machine, replicas):
    """Seconds of a replica's part of the loss: its anchors against all."""
    anchors = machine.per_replica * machine.attentions
    elements = anchors * anchors * replicas
    products = 8 * elements * machine.size / machine.flops
    return products + 4 * machine.passes * elements / machine.memory


def weights_seconds(machine, replicas):
    """Seconds to add up the gradients of the weights, if nothing hides it."""
    sent = 8 * machine.weights * (replicas - 1) / replicas
    return sent / _link(machine, replicas)


def _link(machine, replicas):
    return machine.near if replicas <= machine.accelerators else machine.far


def scaling_table(measured, machine=None, group=8):
    """Projects a step to many accelerators, negatives of all or of a group.

    Args:
        measured: list of dict, rows of scaling.csv: the bytes of a number.
        machine: `Machine`.
        group: int. Replicas of one group.

    Returns:
        Markdown.
    """
    machine = machine or Machine()
    numbers = sum(
        int(r["images"]) * int(r["attentions"]) * int(r["size"])
        for r in measured
    )
    gathered, returned = (
        sum(int(r[name]) for r in measured) / numbers
        for name in ("gathered", "returned")
    )
    alone = machine.per_replica / machine.images_per_second
    lines = []
    for replicas in (8, 64, 512):
        for name, together in (
            ("all", replicas),
            (f"groups of {group}", group),
        ):
            if together == replicas and name != "all":
                continue
            sent, seconds = exchange(machine, gathered, returned, together)
            loss = loss_seconds(machine, together)
            weights = weights_seconds(machine, replicas)
            step = alone + seconds + loss + weights
            images = machine.per_replica * together
            lines.append(
                [
                    str(replicas),
                    f"{machine.per_replica * replicas:,}",
                    name,
                    f"{images // 2:,}",
                    f"{sent / 1e6:.1f}",
                    f"{1e3 * seconds:.1f}",
                    f"{1e3 * loss:.1f}",
                    f"{1e3 * weights:.1f}",
                    f"{(seconds + loss) / step:.0%}",
                ]
            )
    header = (
        "accelerators",
        "batch",
        "negatives of",
        "classes needed",
        "MB sent",
        "exchange ms",
        "loss ms",
        "weights ms",
        "MAMC's share of the step",
    )
    return table(header, lines)


def communication_table(measured):
    """Bytes counted in one step, beside the formula."""
    lines = []
    for r in measured:
        lines.append(
            [
                r["replicas"],
                r["images"],
                r["attentions"],
                r["size"],
                *(f"{int(r[name]):,}" for name in ("gathered", "returned")),
                f"{int(r['expected_embeddings']):,}",
                f"{int(r['weights']):,}",
                f"{int(r['expected_weights']):,}",
                r["rest"],
            ]
        )
    header = ("replicas", "B", "P", "D", "gathered", "gradient back")
    header += ("4 B P D", "weights", "4 W", "rest")
    return table(header, lines)


def large_batches_table(measured):
    """Memory and time of the loss, and both beside the direct form.

    Args:
        measured: list of dict, rows of large_batches.csv.

    Returns:
        Markdown.
    """

    def key(row):
        return row["images"], row["attentions"], row["xla"]

    direct = {
        key(r): r for r in measured if r["form"] == "direct" and r["peak_mb"]
    }
    order = [int, int, str, str, int]
    names = ("images", "attentions", "form", "batch_size", "xla")
    lines = []
    for r in sorted(
        measured,
        key=lambda r: tuple(
            to(r[n]) for to, n in zip(order, names, strict=True)
        ),
    ):
        if r["form"] == "blocks" and r["skipped"]:
            continue  # fits in one block: the direct form
        known = "" if r["form"] == "direct" else f", {r['batch_size']} size"
        line = [
            f"{int(r['images']):,}",
            r["attentions"],
            r["form"] + known,
            "XLA" if int(r["xla"]) else "graph",
        ]
        if r["skipped"]:
            lines.append([*line, r["skipped"], "-", "-"])
            continue
        other = direct.get(key(r))
        ratio = "-"
        if other and r["form"] != "direct":
            ratio = f"{float(r['seconds']) / float(other['seconds']):.2f}"
        peak = f"{int(r['peak_mb']):,}"
        lines.append([*line, peak, f"{float(r['seconds']):.2f}", ratio])
    header = ("images", "P", "matrix", "as", "peak MB", "s", "time of direct")
    return table(header, lines)


def scaling():
    return scaling_table(rows("results/scaling.csv"))


def communication():
    return communication_table(rows("results/scaling.csv"))


def large_batches():
    return large_batches_table(rows("results/large_batches.csv"))
