"""`pneumo-ad store`: lists the stores of decoded radiographs and clears them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError, printable
from pneumo_ad.runs.arguments import Key
from pneumo_ad.runs.command import Command

if TYPE_CHECKING:
    from rich.console import Console

    from pneumo_ad.data.store.upkeep import StoreInfo

USAGE = """\
pneumo-ad store [clear=KEY,KEY] [clear=all]

Lists the stores of decoded, resized radiographs, the last used first, or deletes one or all of them.

{keys}
"""


def store(arguments: str | Sequence[str] = (), **keywords: object) -> None:
    """List or clear the stores of decoded radiographs, as `pneumo-ad store` does.

    Args:
        arguments: Arguments as on the command line.
        keywords: `clear`: keys of stores separated by commas, or `all`.

    Raises:
        ConfigError: An unknown argument, or a key that no store has.
    """
    clear = COMMAND.parse(arguments, keywords)["clear"]
    from rich.console import Console

    from pneumo_ad.data.store.upkeep import clear_leftovers, clear_store, list_stores

    console = Console(highlight=False)
    stores = list_stores()
    for wanted in clear:
        chosen = [info for info in stores if wanted in ("all", info.folder.name)]
        if not chosen and wanted != "all":
            raise ConfigError(
                f"no store {wanted!r}; there are: {', '.join(info.folder.name for info in stores) or 'none'}"
            )
        for info in chosen:
            clear_store(info.folder)
            console.print(f"cleared {info.folder.name} ({info.bytes / 2**20:.1f} MiB)")
        if wanted == "all" and (left := clear_leftovers()):
            console.print(f"cleared the remains of {left} killed builds")
    if not clear:
        _list(console, stores)


def _list(console: Console, stores: Sequence[StoreInfo]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from pneumo_ad.files import cache_dir

    table = Table(title=f"stores in {cache_dir() / 'stores'}", title_justify="left")
    for column in ("key", "radiographs", "image size", "fit", "MiB", "last used", "source"):
        table.add_column(column, overflow="fold")
    for info in stores:
        used = datetime.fromtimestamp(info.used).strftime("%Y-%m-%d %H:%M")
        size = f"{info.image_size[0]} x {info.image_size[1]}"
        cells = [str(info.images), size, info.fit] if not info.damaged else ["–"] * 3
        source = escape(printable(info.damaged or info.source))
        table.add_row(info.folder.name, *cells, f"{info.bytes / 2**20:.1f}", used, source)
    console.print(table)
    console.print(f"{sum(info.bytes for info in stores) / 2**20:.1f} MiB in {len(stores)} stores")


COMMAND = Command(
    section="use",
    place=5,
    summary="list the stores of decoded radiographs, or clear them",
    example="[clear=KEY|all]",
    run=store,
    usage=USAGE,
    keys=(
        Key(
            "clear",
            "a store to delete, or several with commas between, or all",
            "KEY",
            lambda text: text.split(","),
            (),
        ),
    ),
    alone=True,
)
