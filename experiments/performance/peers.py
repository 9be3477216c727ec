"""An environment for the peers alone: theirs on top of the running one's packages, which it does not change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("peers.txt")


class PeersError(Exception):
    """The environment could not be made."""


def environment(folder: Path, pins: Path = PINS) -> Path:
    """The interpreter of an environment with the peers, made unless it is there.

    Packages of the running interpreter are seen through a .pth file, so that torch is not installed twice.

    Args:
        folder: Where the environment lies.
        pins: Exact versions, as pip reads them; installed without their dependencies.

    Raises:
        PeersError: The folder holds something else, or a package could not be installed.
    """
    interpreter = folder / "bin" / "python"
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    recipe = "\n".join([sys.version, *shared, pins.read_text()])
    written = folder / "recipe.txt"  # last of all: without it the environment is unfinished, and made anew
    if written.is_file() and written.read_text() == recipe:
        return interpreter
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        raise PeersError(f"{folder} is neither empty nor an environment; expected a new folder or one made here")
    call([sys.executable, "-m", "venv", "--clear", str(folder)])
    quiet = ["--quiet", "--disable-pip-version-check"]
    call([str(interpreter), "-m", "pip", "install", *quiet, "--no-deps", "-r", str(pins)])
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # addsitedir, as a plain path would leave out the .pth files over there, and with them editable installs.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in shared]
    (packages / "shared.pth").write_text("".join(lines))
    written.write_text(recipe)
    return interpreter


def call(command: list[str]) -> None:
    """Run a command; what it says on failure becomes the error's words."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PeersError(said[-1] if said else f"{command[0]} ended with {done.returncode}")
