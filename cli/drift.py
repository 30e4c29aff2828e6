"""The application that the commands of ``python -m drift`` belong to."""

from __future__ import annotations

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Nights compared, measured and decided about; retrainings and versions in the shadow.",
)
