"""The ideas for a better default: what each changes of the shipped one."""

import dataclasses
from collections.abc import Callable

import keras
from ablation import ARMS
from ablation import HEAD_RATES
from idea_gates import ApartGates
from idea_gates import DecayedGates
from idea_gates import DroppedGates
from idea_gates import IdentityGates
from idea_gates import PlaceGates
from idea_gates import SlowGates
from idea_heads import ClassifierABranch
from idea_heads import NeckClassifier
from idea_heads import PooledNeckClassifier
from idea_heads import TwoStagesClassifier
from idea_heads import with_osme
from idea_losses import MemoryMAMC
from idea_losses import RisingMAMC

from mamc_keras.models.classifier import MAMCImageClassifier


class AveragedWeights(keras.callbacks.Callback):
    """Keeps a moving average of the weights; the run ends with it.

    The average is over a tenth of the steps so far, at most the last hundred:
    nothing of the random start stays in it.
    """

    def __init__(self, momentum=0.99):
        super().__init__()
        self.momentum = momentum

    def on_train_begin(self, logs=None):
        self.steps = 0
        self.average = [w.numpy() for w in self.model.trainable_weights]

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        momentum = min(self.momentum, self.steps / (9 + self.steps))
        weights = self.model.trainable_weights
        for mean, weight in zip(self.average, weights, strict=True):
            mean += (1 - momentum) * (weight.numpy() - mean)

    def on_train_end(self, logs=None):
        weights = self.model.trainable_weights
        for mean, weight in zip(self.average, weights, strict=True):
            weight.assign(mean)


@dataclasses.dataclass(frozen=True)
class Idea:
    """What is changed: fields of the recipe, the head, the loss, training.

    `loss` is a function of the number of steps of the run.
    """

    recipe: dict = dataclasses.field(default_factory=dict)
    classifier: type = MAMCImageClassifier
    loss: Callable | None = None
    callbacks: Callable = list


def arm(name, classifier=MAMCImageClassifier, **changes):
    if name in HEAD_RATES:
        changes["head_learning_rate"] = HEAD_RATES[name]
    return Idea({**ARMS[name], **changes}, classifier)


IDEAS = {
    "shipped": Idea(),
    "plain_softmax": arm("plain_softmax"),
    "npair_one_branch": arm("npair_one_branch"),
    "no_gates": arm("mamc_no_gates"),
    "gates_identity": Idea(classifier=with_osme(IdentityGates)),
    "gates_apart": Idea(classifier=with_osme(ApartGates)),
    "gates_slow": Idea(classifier=with_osme(SlowGates)),
    "gates_decayed": Idea(classifier=with_osme(DecayedGates)),
    "gates_dropped": Idea(classifier=with_osme(DroppedGates)),
    "gates_of_places": Idea(classifier=with_osme(PlaceGates)),
    "neck": Idea(classifier=NeckClassifier),
    "neck_npair_one_branch": arm("npair_one_branch", NeckClassifier),
    "neck_plain_softmax": arm("plain_softmax", PooledNeckClassifier),
    "neck_plain_softmax_1e-3": Idea(
        ARMS["plain_softmax"], PooledNeckClassifier
    ),
    "neck_no_gates": arm("mamc_no_gates", NeckClassifier),
    "neck_no_mamc": arm("osme", NeckClassifier),
    "neck_lambda_1": Idea({"mamc_weight": 1.0}, NeckClassifier),
    "neck_lambda_2": Idea({"mamc_weight": 2.0}, NeckClassifier),
    "neck_literal": arm("osme_mamc_literal", NeckClassifier),
    "literal": arm("osme_mamc_literal"),
    "classifier_a_branch": Idea(classifier=ClassifierABranch),
    "memory_512": Idea(loss=lambda steps: MemoryMAMC(start=steps // 5)),
    "classes_32": Idea({"classes_per_batch": 32}),
    "lambda_0.25": Idea({"mamc_weight": 0.25}),
    "lambda_1": Idea({"mamc_weight": 1.0}),
    "lambda_2": Idea({"mamc_weight": 2.0}),
    "lambda_rising": Idea(loss=lambda steps: RisingMAMC(steps // 3)),
    "raw_products": Idea({"normalize": False}),
    "sum_positives": Idea({"positives": "sum"}),
    "temperature_0.05": Idea({"temperature": 0.05}),
    "temperature_0.2": Idea({"temperature": 0.2}),
    "terms_1_1_0": Idea({"term_weights": (1.0, 1.0, 0.0)}),
    "terms_1_0.5_0.5": Idea({"term_weights": (1.0, 0.5, 0.5)}),
    "p_3": Idea({"num_attentions": 3}),
    "p_4": Idea({"num_attentions": 4}),
    "d_128": Idea({"embedding_dim": 128}),
    "d_256": Idea({"embedding_dim": 256}),
    "d_1024": Idea({"embedding_dim": 1024}),
    "grid_2": Idea({"grid_size": 2}),
    "grid_3": Idea({"grid_size": 3}),
    "stage_a_branch": Idea({"num_attentions": 1}, TwoStagesClassifier),
    "two_stages": Idea(classifier=TwoStagesClassifier),
    "rate_6e-4": Idea({"learning_rate": 6e-4}),
    "rate_6e-4_npair_one_branch": arm("npair_one_branch", learning_rate=6e-4),
    "rate_6e-4_plain_softmax": arm("plain_softmax", learning_rate=6e-4),
    "averaged_weights": Idea(callbacks=lambda: [AveragedWeights()]),
    "dropout_0.5": Idea({"dropout": 0.5}),
    "label_smoothing": Idea({"label_smoothing": 0.1}),
    "strong_views": Idea({"augmentation": "strong"}),
    "pixels_288": Idea({"image_size": (288, 288)}),
    "whole_map": Idea({"grid_size": None}),
}
