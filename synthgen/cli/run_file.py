"""Options from a run file (TOML), and the settings of `--set`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from synthgen.errors import DataError, UsageError

# Keys in the `meta` of a click context: the path of the run file, and its table [set].
_CONFIG, _FROM_CONFIG = "synthgen.config", "synthgen.settings"


def _read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Use the values of a run file as defaults of this command's options."""
    import tomllib

    if path is None:
        return
    from synthgen.tables.disk import read_text

    context.meta[_CONFIG] = path
    try:
        content = tomllib.loads(read_text(path))
    except DataError as error:
        raise UsageError(281, f"cannot read the run file: {error.message}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(281, f"{path}: cannot read the run file: {error}") from error
    options = {
        name.removeprefix("--"): option
        for option in context.command.params
        for name in option.opts
        if name.startswith("--") and option is not parameter
    }
    defaults = {}
    for key, value in content.items():
        if key == "set" and isinstance(value, dict):
            context.meta[_FROM_CONFIG] = value
            continue
        option = options.get(key)
        if not isinstance(option, click.Option) or key == "set":
            known = ", ".join(sorted({*options} - {"set"}))
            raise UsageError(
                282, f"{path}: {key!r} is not known; the options are {known}, and a table [set]"
            )
        values = value if isinstance(value, list) and option.multiple else [value]
        wanted = bool if option.is_flag else str | int | float
        if any(
            not isinstance(v, wanted) or (isinstance(v, bool) and not option.is_flag)
            for v in values
        ):
            what = "true or false" if option.is_flag else "a text or a number"
            raise UsageError(283, f"{path}: {key} must be {what}, not {value!r}")
        # As text, a value is checked as on the command line: 2.7 is not a whole number.
        plain = values if option.is_flag else [str(v) for v in values]
        defaults[option.name] = plain if option.multiple else plain[0]
    context.default_map = defaults


def _read_settings(
    context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, Any]:
    """Parse ``key=value`` pairs; a value is TOML or a bare word."""
    import tomllib

    found: dict[str, Any] = dict(context.meta.get(_FROM_CONFIG, {}))
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise UsageError(
                284, f"--set {pair!r}: write it as name=value, such as --set steps=2000"
            )
        found[key.strip()] = text.strip()
        with suppress(tomllib.TOMLDecodeError):
            parsed = tomllib.loads(f"value = {text}")
            if list(parsed) == ["value"]:
                found[key.strip()] = parsed["value"]
    return found
