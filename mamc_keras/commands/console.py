"""What every command prints with."""

import tyro
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
Argument = tyro.conf.Positional


def written(*paths):
    """Says which files a command wrote."""
    for path in paths:
        console.print(f"wrote {path}", markup=False)
