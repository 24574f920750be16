"""The command line: one file per command, options in, one call, exit code out.

A command is a function with `@click.command()` and, last, `@common_options`, which hands it the
merged `Settings` as its first argument. It imports rooms inside its body, so that `--help` needs
click alone, and returns its exit code (None means 0).
"""

from trapsort.cli.options import common_options, setting_option

__all__ = ["common_options", "setting_option"]
