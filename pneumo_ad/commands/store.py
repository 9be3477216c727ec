"""`pneumo-ad store`: lists the stores of decoded radiographs and clears them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo_ad.data.store.upkeep import clear_leftovers, clear_store, list_stores
from pneumo_ad.errors import ConfigError, printable
from pneumo_ad.files import cache_dir


def store(arguments: Sequence[str]) -> None:
    """The command: `[clear=KEY|all]`.

    Raises:
        ConfigError: An unknown argument, or a key that no store has.
    """
    console = Console(highlight=False)
    stores = list_stores()
    for argument in arguments:
        name, _, wanted = argument.partition("=")
        if name != "clear" or not wanted:
            raise ConfigError(f"{argument!r} is not known; expected clear=KEY or clear=all")
        chosen = [one for one in stores if wanted in ("all", one.folder.name)]
        if not chosen and wanted != "all":
            raise ConfigError(
                f"no store {wanted!r}; there are: {', '.join(one.folder.name for one in stores) or 'none'}"
            )
        for one in chosen:
            clear_store(one.folder)
            console.print(f"cleared {one.folder.name} ({one.bytes / 2**20:.1f} MiB)")
        if wanted == "all" and (left := clear_leftovers()):
            console.print(f"cleared what {left} killed builds left behind")
    if arguments:
        return
    table = Table(title=f"stores in {cache_dir() / 'stores'}", title_justify="left")
    for column in ("key", "radiographs", "image size", "fit", "MiB", "last used", "source"):
        table.add_column(column, overflow="fold")
    for one in stores:
        used = datetime.fromtimestamp(one.used).strftime("%Y-%m-%d %H:%M")
        size = f"{one.image_size[0]} x {one.image_size[1]}"
        told = [str(one.images), size, one.fit] if not one.damaged else ["–"] * 3
        source = escape(printable(one.damaged or one.source))
        table.add_row(one.folder.name, *told, f"{one.bytes / 2**20:.1f}", used, source)
    console.print(table)
    console.print(f"{sum(one.bytes for one in stores) / 2**20:.1f} MiB in {len(stores)} stores")
