"""Projects of the user's own, on top of this one: written from templates, extended part by part, updated by merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumo_ad import doors

if TYPE_CHECKING:
    from pneumo_ad.scaffold.parts import add_part
    from pneumo_ad.scaffold.project import create_project
    from pneumo_ad.scaffold.record import Change
    from pneumo_ad.scaffold.update import update_project

__all__ = ["Change", "add_part", "create_project", "update_project"]

__getattr__, __dir__ = doors(
    __name__, {"parts": "add_part", "project": "create_project", "record": "Change", "update": "update_project"}
)
