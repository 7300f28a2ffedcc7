"""The command line's verbs, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from bitwright.cli.benchmark import benchmark
from bitwright.cli.calibrate import calibrate
from bitwright.cli.cluster import cluster
from bitwright.cli.compare import compare
from bitwright.cli.convert import convert
from bitwright.cli.demo import demo
from bitwright.cli.inspect import inspect
from bitwright.cli.pack import pack
from bitwright.cli.prune import prune
from bitwright.cli.qat import qat
from bitwright.cli.quantize import quantize
from bitwright.cli.quantize_graph import quantize_graph
from bitwright.cli.run import run
from bitwright.cli.transform import transform
from bitwright.cli.transform_graph import transform_graph
from bitwright.cli.unpack import unpack

#: In the order of the help.
_VERBS: tuple[Callable[..., Any], ...] = (
    *(quantize, qat, prune, cluster, pack, unpack),
    *(convert, transform, calibrate, run, benchmark, compare, inspect, demo),
    *(transform_graph, quantize_graph),
)


def command() -> Callable[..., Any]:
    """The whole command: called with a list of arguments, it gives back the verb's Answer."""
    app = typer.Typer(
        name="bitwright",
        help="Make trained networks small and fast, and see what it cost.",
        epilog="Exit codes: 0 done, 1 refused or bar not met, 2 wrong usage. --debug shows the traceback of an error.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    for verb in _VERBS:
        app.command()(verb)
    return typer.main.get_command(app)


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Make trained networks small and fast, and see what it cost."""
    if version:
        from bitwright import __version__

        typer.echo(f"bitwright {__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(0)
