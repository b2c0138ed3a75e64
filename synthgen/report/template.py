"""What the pages share: one style, one way to put text into a template."""

from __future__ import annotations

import re
from typing import Any

import jinja2

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def rendered(name: str, **values: Any) -> str:
    """The template of that name with these values, every one of them escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("synthgen", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": lambda v: f"{v:.2f}",
        "whole": lambda v: f"{v:,}",
        "percent": lambda v: f"{100 * v:.3g} %",
        "figure": lambda v: f"{v:.3g}",
        "clean": clean,
    }
    return environment.get_template(name).render(**values)


def clean(value: object) -> str:
    """Text without characters that a page cannot hold."""
    return _CONTROL.sub("�", str(value))
