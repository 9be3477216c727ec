"""Rendering of the templates: a folder of `templates/` becomes the files of a project.

A template's path is that of its file, without `.jinja`: `PACKAGE` and `NAME` stand for the names of the package and of
the part, `dot_` for a leading dot.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

_TEMPLATES = Path(str(files("pneumo_ad.scaffold"))) / "templates"
KINDS = ("radiographs", "images")


def render(folder: str, context: dict[str, Any]) -> dict[str, str]:
    """Render the templates of a folder, with those of the kind of project in `KIND/folder`, sorted by path.

    Args:
        folder: Folder of `templates/`: `project`, or a part.
        context: Variables of the templates, with `package`, `kind` and, for a part, `name`.

    Returns:
        Path within the project -> text.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    rendered = {}
    for top in (_TEMPLATES / folder, _TEMPLATES / context["kind"] / folder):
        for template in top.rglob("*.jinja"):
            path = template.relative_to(top).as_posix().removesuffix(".jinja").replace("dot_", ".")
            path = path.replace("PACKAGE", context["package"]).replace("NAME", context.get("name", ""))
            text = environment.get_template(template.relative_to(_TEMPLATES).as_posix()).render(context)
            rendered[path] = text
    return dict(sorted(rendered.items()))
