"""Sphinx: `make docs` turns the Markdown of this repository into docs/_build/html."""

import re
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

from sphinx.application import Sphinx

import pneumo_ad

project, author, copyright = "pneumo_ad", "The pneumo_ad authors", "The pneumo_ad authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

# The repository is the source, so that one link leads to the same page here, on a code host and in an editor.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "experiments/**", "*/README.md", "pneumo_ad/**/MODEL_CARD.md"]
exclude_patterns = ["README.md", "experiments/*/*/README.md", "docs/_build", ".*", "**/.*"]
exclude_patterns += ["runs", "sweeps", "outputs", "build", "dist"]
html_extra_path = ["index.html"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a study begins with its heading wherever its levels go

default_role = "py:obj"  # names of objects in backticks become links; see `quoted`
BACKTICKS = re.compile(r"^(?:\||>>>).*|``.+?``|`([^`]+)`(?=(\w?))", re.MULTILINE)  # but for tables and examples
napoleon_use_ivar = True
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "pneumo_ad"
html_show_sphinx = False
html_copy_source = False


def write_api(app: Sphinx) -> None:
    """Write a page for each package of `pneumo_ad`, with the public names that its `__all__` lists."""
    folder = Path(app.srcdir) / "docs" / "api"
    folder.mkdir(exist_ok=True)
    walked = [one.name for one in walk_packages(pneumo_ad.__path__, "pneumo_ad.") if one.ispkg]
    rooms = [room for room in map(import_module, ["pneumo_ad", *walked]) if hasattr(room, "__all__")]
    rows = "".join(f"| [{room.__name__}]({room.__name__}.md) | {summary(room)} |\n" for room in rooms)
    listed = "\n".join(room.__name__ for room in rooms)
    hidden = f":::{{toctree}}\n:hidden:\n\n{listed}\n:::\n"
    write(folder / "index.md", f"# Python API\n\n| package | holds |\n|---|---|\n{rows}\n{hidden}")
    seen: set[int] = set()
    for room in rooms:
        entries = "\n".join(entry(room, name, seen) for name in room.__all__ if name != "__version__")
        module = f".. automodule:: {room.__name__}\n   :no-members:\n"
        write(folder / f"{room.__name__}.md", f"# {room.__name__}\n\n```{{eval-rst}}\n{module}\n{entries}```\n")


def summary(room: ModuleType) -> str:
    """Return the first line of a package's docstring, as Markdown."""
    return (room.__doc__ or "").splitlines()[0].replace("|", "\\|")


def entry(room: ModuleType, name: str, seen: set[int]) -> str:
    """Return the directive that documents a public name; what another package hands out too is indexed once."""
    found, full = getattr(room, name), f"{room.__name__}.{name}"
    if not isclass(found) and not isroutine(found):
        value = list(found) if isinstance(found, dict) else found
        return f".. py:data:: {full}\n   :value: {value!r}\n"
    if not found.__module__.startswith("pneumo_ad"):
        return f"``{name}`` is ``{found.__module__}.{found.__qualname__}``.\n"
    again = "   :no-index:\n" if id(found) in seen else ""
    seen.add(id(found))
    return f".. autoclass:: {full}\n   :members:\n{again}" if isclass(found) else f".. autofunction:: {full}\n{again}"


def write(file: Path, text: str) -> None:
    """Write a file if its text changes, so that pages built of it before stay."""
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def as_restructured_text(app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Turn the Markdown of a docstring, backticks and tables, into what Sphinx reads there."""
    lines[:] = BACKTICKS.sub(quoted, "\n".join(lines)).split("\n")
    if what == "property":
        lines[:0] = ["..", ""]  # napoleon would take what stands before a colon of the first line for a type
    starts = [number for number, line in enumerate(lines) if line.startswith("|") and not lines[number - 1].strip()]
    for start in reversed(starts):
        end = next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))
        lines[start:end] = ["::", "", *(f"    {line}" for line in lines[start:end])]  # a table, as it is typed


def quoted(match: re.Match[str]) -> str:
    """Leave the name of an object to become a link, and make everything else literal."""
    if match[1] is None:
        return match[0]
    text = match[0] if re.fullmatch(r"[A-Za-z_][\w.]*", match[1]) else f"``{match[1]}``"
    return text + "\\ " * bool(match[2])  # what follows the quotes at once would open them again


def setup(app: Sphinx) -> None:
    """Have the pages of the API written before sources are looked for."""
    app.connect("builder-inited", write_api)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon
