"""`trapsort completion`: the script that completes commands and options in a shell."""

from __future__ import annotations

import click

from trapsort.cli import common_options
from trapsort.settings import Settings

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_TRAPSORT_COMPLETE"  # the name that click itself derives from `trapsort`


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@common_options
def completion(_settings: Settings, shell: str) -> None:
    """Print the completion of a shell, to be loaded when the shell starts.

    \b
    bash: trapsort completion bash > ~/.local/share/bash-completion/completions/trapsort
    zsh:  trapsort completion zsh > "${fpath[1]}/_trapsort"
    fish: trapsort completion fish > ~/.config/fish/completions/trapsort.fish
    """
    from click.shell_completion import get_completion_class

    from trapsort.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click knows all of SHELLS
    click.echo(kind(cli, {}, "trapsort", VARIABLE).source())
