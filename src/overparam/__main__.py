"""Lets `python -m overparam` do what `overparam` does."""

from overparam.cli.main import run

if __name__ == "__main__":
    run()
