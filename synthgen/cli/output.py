"""Results as a terminal shows them: tables, and a line for each thing to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthgen.cli.terminal import say, show_table

if TYPE_CHECKING:
    from synthgen.augmentation.augmented import Augmented
    from synthgen.comparison.comparison import Comparison
    from synthgen.comparison.subgroups import Groups
    from synthgen.comparison.sweep import Sweep


def say_comparison(found: Comparison, *, err: bool = False) -> None:
    """Each strategy with its two metrics, gains, chances and time; what to do, and the verdicts."""
    from synthgen.model_selection.scoring import METRICS

    names = list(dict.fromkeys([found.metric, found.decision]))
    chances = {
        c.strategy: " / ".join(f"{share:.2f}" for share in (c.helps, c.equal, c.harms))
        for c in found.chances
    }
    rows = []
    for strategy in found.strategies:
        row: list[object] = [strategy]
        for name in names:
            r = found.result(strategy, name)
            about = METRICS[name]
            low, high = (about.text(bound, signed=True) for bound in r.interval)
            of = f"{about.text(r.difference, signed=True)} [{low}, {high}]"
            row += [about.text(r.mean), "" if strategy == r.against else of]
        row.append(chances.get(strategy, ""))
        rows.append([*row, f"{found.seconds[strategy]:.0f} s" if strategy in found.seconds else ""])
    against = [found.result("nothing", name).against for name in names]
    heads = [h for n, a in zip(names, against, strict=True) for h in (n, f"gain on {a}")]
    show_table(["strategy", *heads, "helps / equal / harms", "time"], rows, err=err)
    if found.by is not None:
        say_groups(found.by, found.metric, err=err)
    for line in found.summary_lines():
        say(line, err=err)


def say_groups(by: Groups, metric: str, *, err: bool = False) -> None:
    """What doing nothing reaches for each group, and what does best there."""
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


def say_sweep(found: Sweep, *, err: bool = False) -> None:
    """The metric of each strategy at each share of the class."""
    from synthgen.model_selection.scoring import METRICS

    words = METRICS[found.points[0].metric].words
    heads = [f"{rate:.3%}" for rate in found.rates]
    rows: list[list[object]] = [["always no: accuracy", *(f"{a:.3f}" for a in found.always_no)]]
    for name in found.strategies:
        if name != "threshold":
            rows.append([name, *("" if v != v else f"{v:.3f}" for v in found.curve(name))])
    show_table([words, *heads], rows, err=err)
    for line in found.summary_lines():
        say(line, err=err)


def say_additions(result: Augmented, *, err: bool) -> None:
    """How many rows were made of each class, and why; what was refused."""
    for a in result.additions:
        say(f"{a.rows:,} new rows of {a.label!r}: {a.reason}", err=err)
    if result.finding:
        say(result.finding, err=err)
    rows = [[str(c), n, result.after[c] - n, result.after[c]] for c, n in result.before.items()]
    show_table([f"class of {result.schema.target}", "before", "new", "after"], rows, err=err)
    say_refused(result.guard, err=err)


def say_weights(column: str | None, *, err: bool) -> None:
    """What the column of weights is for."""
    if column is not None:
        say(
            f"column {column}: give it to the classifier as sample_weight, and leave it out of the "
            f"features; without it the new rows harm most classifiers",
            err=err,
        )


def say_refused(guard: dict[Any, dict[str, Any]], *, err: bool) -> None:
    """How many drawn rows were refused, and why."""
    for label, found in guard.items():
        if found["refused"]:
            counts = ", ".join(f"{n:,} {why}" for why, n in found["refused"].items())
            of = "" if label is None else f" of {label!r}"
            say(f"refused{of}, of {found['drawn']:,} rows drawn: {counts}", err=err)


def say_defused(defused: int) -> None:
    """How many cells were changed for the sake of spreadsheets."""
    if defused:
        say(
            f"note: {defused:,} cells or names that begin with = + - @ now begin with ' so that no "
            f"spreadsheet runs them; --no-defuse leaves them",
            err=True,
        )
