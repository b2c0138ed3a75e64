"""Terminal output of results: the recommendation, findings and tables."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

from synthgen.cli.terminal import is_quiet, is_verbose, say, show_table, tell

if TYPE_CHECKING:
    from synthgen.comparison.comparison import Comparison
    from synthgen.comparison.subgroups import Groups
    from synthgen.report.shown import Shown

# Without --verbose, a terminal shows at most this many rows of a table and characters of a card.
MOST_ROWS, MOST_CHARACTERS = 12, 380


def say_result(found: Shown, *, err: bool = False, **files: object) -> dict[str, str]:
    """Print the recommendation, the findings and the key figures; the rest with ``--verbose``."""
    advice = found.recommendation.about(**files)
    for line in advice.lines():
        say(line, err=err)
    if not is_quiet():
        _say_evidence(found, err=err)
    return asdict(advice)


def _say_evidence(found: Shown, *, err: bool) -> None:
    """Print the findings and figures behind a recommendation."""
    for card in found.cards:
        most = len(card.line()) if is_verbose() else MOST_CHARACTERS
        say(textwrap.shorten(card.line(), most, placeholder=" ..."), err=err)
    heads, rows = found.key_figures()
    shown = rows if is_verbose() else rows[:MOST_ROWS]
    if shown:
        show_table(heads, shown, err=err, cut=not is_verbose())
    notes = found.note_lines()
    if is_verbose():
        for line in notes:
            say(line, err=err)
    elif len(shown) < len(rows) or notes:
        more = f"{len(rows) - len(shown):,} more rows and " if len(shown) < len(rows) else ""
        # "Lines", as not all of them are notes: those of an audit are warnings and figures, too.
        what = "1 more line" if len(notes) == 1 else f"{len(notes):,} more lines"
        it = "it" if len(notes) == 1 and not more else "them"
        say(f"{more}{what}: --verbose shows {it}", err=err)


def say_strategies(found: Comparison, *, err: bool = False) -> None:
    """Print each strategy with its two metrics and its gains."""
    from synthgen.model_selection.scoring import METRICS

    names = list(dict.fromkeys([found.metric, found.decision]))
    rows = []
    for strategy in found.strategies:
        row: list[object] = [strategy]
        for name in names:
            r = found.result(strategy, name)
            about = METRICS[name]
            low, high = (about.text(bound, signed=True) for bound in r.interval)
            of = f"{about.text(r.difference, signed=True)} [{low}, {high}]"
            row += [about.text(r.mean), "" if strategy == r.against else of]
        rows.append(row)
    against = [found.result("nothing", name).against for name in names]
    heads = [h for n, a in zip(names, against, strict=True) for h in (n, f"gain on {a}")]
    show_table(["strategy", *heads], rows, err=err)


def say_groups(by: Groups, metric: str, *, err: bool = False) -> None:
    """Print the metric of doing nothing for each group, and the best strategy there."""
    from synthgen.model_selection.scoring import METRICS

    about = METRICS[metric]
    rows: list[list[object]] = []
    for group in by.groups:
        row: list[object] = [group.value, group.rows, group.rare]
        if group.too_few:
            rows.append([*row, f"too few rows: {group.too_few}", "", ""])
            continue
        nothing, best = group.result("nothing"), group.best
        low, high = map(about.text, nothing.mean_interval)
        row.append(f"{about.text(nothing.mean)} [{low}, {high}]")
        if best is not None:
            low, high = (about.text(bound, signed=True) for bound in best.interval)
            row += [best.strategy, f"{about.text(best.difference, signed=True)} [{low}, {high}]"]
        rows.append([*row, "", ""][:6])
    heads = [by.column, "rows", "of the class", f"nothing: {about.words}"]
    show_table([*heads, "does best", "gain on nothing"], rows, err=err)
    say(
        "by group: the intervals of gains hold for all strategies of one group at once; --html "
        "and --json show every strategy",
        err=err,
    )


def say_weights(column: str | None, *, err: bool) -> None:
    """Print the purpose of the column of weights."""
    if column is not None:
        tell(
            f"column {column}: give it to the classifier as sample_weight, and leave it out of the "
            f"features; without it the new rows harm most classifiers",
            err=err,
        )


def say_defused(defused: int) -> None:
    """Print how many cells were changed so that no spreadsheet runs them."""
    if defused:
        tell(
            f"note: {defused:,} cells or names that begin with = + - @ now begin with ' so that no "
            f"spreadsheet runs them; --no-defuse leaves them",
            err=True,
        )
