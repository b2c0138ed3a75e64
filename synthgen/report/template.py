"""Pages from templates, in one style; every text is escaped."""

from __future__ import annotations

import math
import re
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NAMED = re.compile(r"`([^`]+)`")


def clean(value: object) -> str:
    """Text without characters that a page cannot hold."""
    return _CONTROL.sub("�", str(value))


def clean_all(value: Any) -> Any:
    """Apply `clean` to every text in a JSON value."""
    if isinstance(value, dict):
        return {k: clean_all(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean_all(v) for v in value]
    return clean(value) if isinstance(value, str) else value


def figure(value: float | None) -> str:
    """A measured number for a table; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if 0 < size < 0.0005:
        text = f"{value:.4f}" if size >= 0.00005 else f"{value:.0e}"
    else:
        text = f"{value:.3f}" if size < 100 else f"{value:,.0f}" if size < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")


def named(text: object) -> Markup:
    """The text, escaped, with names between backticks as code."""
    return Markup(_NAMED.sub(r"<code>\1</code>", str(escape(text))))


def _source(name: str) -> str:
    return files("synthgen.report").joinpath(name).read_text(encoding="utf-8")


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FunctionLoader(_source),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "figure": figure,
    "score": lambda v: f"{v:.2f}",
    "whole": lambda v: f"{v:,}",
    "percent": lambda v: f"{100 * v:.3g} %",
    "clean": clean,
    "named": named,
}
_ENVIRONMENT.globals["version"] = version("synthgen")


def fill(template: str, **values: Any) -> str:
    """Render a template of this folder with `values`, which are escaped."""
    return _ENVIRONMENT.get_template(template).render(values)
