"""`python -m mamc_keras` is the `mamc` command."""

from mamc_keras.cli import main

if __name__ == "__main__":
    main()
