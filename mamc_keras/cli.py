"""The `mamc` command, and how it ends when something is wrong."""

import logging
import os
import sys

import tyro
from rich.console import Console
from rich.logging import RichHandler

from mamc_keras.commands import data
from mamc_keras.commands import deploy
from mamc_keras.commands import model
from mamc_keras.commands import preset
from mamc_keras.commands import search
from mamc_keras.commands.console import console
from mamc_keras.recipe import Recipe
from mamc_keras.recipe import load_recipe
from mamc_keras.stopping import Interrupted


def _default_recipe(arguments):
    """The recipe that a .py argument of `mamc train` holds, or the default."""
    if arguments[:1] == ["train"]:
        for argument in arguments[1:]:
            if argument.endswith(".py"):
                return load_recipe(argument)
    return Recipe()


def _fail(error, code=2):
    errors = Console(stderr=True, soft_wrap=True)
    errors.print(f"mamc: {error}", markup=False, highlight=False)
    sys.exit(code)


def main(arguments=None):
    """Runs the command line; bad input ends with one sentence and code 2.

    A command that gives a number other than 0 back ends with that code, one
    that a signal stopped with 128 + its number, and training that lost
    another machine with 75.

    Args:
        arguments: list of str; the process's own by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves oneDNN off on CPUs without AVX-512; it is faster there.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    log = logging.getLogger("mamc_keras")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [
        RichHandler(
            console=console,
            show_time=False,
            show_level=False,
            show_path=False,
            markup=False,
        )
    ]
    try:
        commands = {
            "check": data.check,
            "split": data.split,
            "shard": data.shard,
            "train": model.train_command(_default_recipe(arguments)),
            "evaluate": model.evaluate,
            "report": model.report,
            "predict": model.predict,
            "explain": model.explain,
            "export": deploy.export,
            "benchmark": deploy.benchmark,
            "classes": preset.classes,
            "teach": preset.teach,
            "index": search.index,
            "search": search.search,
            "push": preset.push,
        }
        code = tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="mamc",
            description="Weakly supervised fine-grained recognition.",
            args=arguments,
        )
        if code:
            sys.exit(code)
    except Interrupted as stop:
        console.print(str(stop), markup=False, highlight=False)
        sys.exit(128 + stop.signum)
    except ConnectionError as error:
        # Not the input's fault: the same command may succeed next time.
        _fail(error, 75)
    except (ValueError, OSError, ImportError) as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # TensorFlow's own errors: a photo that vanished, a full disk.
        if not type(error).__module__.startswith("tensorflow"):
            raise
        first = next(iter(str(error).strip().splitlines()), "no reason given")
        _fail(f"TensorFlow stopped: {first}")
