"""The HTML page of an augmented table: its new rows compared with the real ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from synthgen.augmentation.amount import words
from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.metrics.report import Report
from synthgen.report.card import Picture, plain_advice, plain_cards
from synthgen.report.clouds import clouds
from synthgen.report.figures import INK, MADE, REAL, THIRD, Figures, codes, draw_column
from synthgen.report.template import clean, fill
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.column import LEVELS, Column
from synthgen.tables.disk import write_json, write_text
from synthgen.tables.schema import describe
from synthgen.tables.table import Table
from synthgen.training.training_run import History

if TYPE_CHECKING:
    from synthgen.augmentation.amount import Addition
    from synthgen.augmentation.augmented import Augmented

MAX_FIGURES = 24  # column figures on one page
SCORED_ROWS, SPLITS = 5000, 10
COMPARED = ("numeric", "integer", "datetime", "categorical", "boolean")


@dataclass(frozen=True)
class Shape:
    """Similarity of one column's distribution in the real and the new rows of a class.

    Attributes:
        column: The column.
        value: 1 minus the Kolmogorov-Smirnov statistic (numbers, dates) or the total variation
            distance (categories) between new rows and one half of the real rows. 1: equal
            distributions; 0: no overlap. Missing counts as a value.
        reference: The same score between the two halves of the real rows, with equal row counts.
        missing_real: Fraction of missing cells in real rows.
        missing_made: Fraction of missing cells in new rows.
    """

    column: Column
    value: float
    reference: float
    missing_real: float
    missing_made: float


def write_report(
    result: Augmented,
    folder: str | os.PathLike[str],
    manifest: dict[str, Any],
    evaluation: Report | None = None,
) -> None:
    """Write ``report.html`` and ``report.json`` into a folder."""
    shapes = _shapes(result)
    content = {
        "manifest": manifest,
        "column_shapes": {
            str(label): [
                {
                    "column": str(s.column.name),
                    "kind": s.column.kind,
                    "score": s.value,
                    "real_half_against_half": s.reference,
                    "missing_real": s.missing_real,
                    "missing_synthetic": s.missing_made,
                }
                for s in found
            ]
            for label, found in shapes.items()
        },
    }
    page = augmented_page(result, manifest=manifest, evaluation=evaluation, shapes=shapes)
    write_text(Path(folder, "report.html"), page)
    write_json(Path(folder, "report.json"), content)
    if evaluation is not None:
        evaluation.to_html(Path(folder, "evaluation.html"))
        write_json(Path(folder, "evaluation.json"), evaluation.to_json())


def augmented_page(
    result: Augmented,
    *,
    manifest: Mapping[str, Any] | None = None,
    evaluation: Report | None = None,
    shapes: dict[Any, list[Shape]] | None = None,
) -> str:
    """Render the page as HTML text; equal results give equal text."""
    manifest = result.summary() if manifest is None else manifest
    shapes = _shapes(result) if shapes is None else shapes
    figures, room = Figures(), MAX_FIGURES // max(len(shapes), 1) or 1
    classes = [
        _class_content(result, addition, shapes[addition.label], figures, room)
        for addition in result.additions
        if addition.rows
    ]
    columns = [
        {key: clean(value) for key, value in row.items()}
        | {"left_out": c.name in result.not_learned, "values": clean(_values(result, c, row))}
        for c, row in zip(result.schema.columns, describe(result.schema.columns), strict=True)
    ]
    return fill(
        "augmented.html.j2",
        advice=plain_advice(result.recommendation),
        cards=plain_cards(result.cards),
        classes=classes,
        columns=columns,
        amounts=_amounts(result, figures),
        counts=[
            (clean(c), n, result.after[c] - n, result.after[c]) for c, n in result.before.items()
        ],
        refused=[
            (clean(label), clean(reason), rows, found["drawn"])
            for label, found in result.guard.items()
            for reason, rows in found["refused"].items()
        ],
        ruled=any(found["broken_by_real_rows"] for found in result.guard.values()),
        guard_notes=[text for k, v in result.guard.items() for text in _guard_notes(k, v)],
        target=clean(result.schema.target),
        synthesizer=type(result.synthesizer).__name__,
        rows=len(result.pandas_frame),
        not_learned={clean(k): v for k, v in result.not_learned.items()},
        source=clean((manifest.get("data") or {}).get("path", "")),
        versions=manifest.get("synthgen"),
        seed=manifest["seed"],
        device=clean(manifest["device"]),
        warnings=[clean(note) for note in manifest.get("warnings", ())],
        judged=None if evaluation is None else plain_advice(evaluation.recommendation),
        verdicts=[] if evaluation is None else plain_cards(evaluation.cards),
    )


def _values(result: Augmented, column: Column, row: dict[str, str]) -> str:
    """The values of a column in words; levels that fewer than five rows hold are not named."""
    if column.kind not in LEVELS or column.name == result.schema.target:
        return row["values"]
    counts = result.real[column.name].astype(object).value_counts()
    named = [str(c) for c in column.categories if counts.get(c, 0) >= PRIVATE_ROWS]
    rarer = ["rarer ones"] * (len(named) < len(column.categories))
    return ", ".join([*named[:6], *["..."] * (len(named) > 6), *rarer])


def _class_content(
    result: Augmented, addition: Addition, found: list[Shape], figures: Figures, room: int
) -> dict[str, Any]:
    """Make the template values for one class, with at most `room` column figures."""
    real, made = _rows_of(result, addition.label)
    least_alike = sorted(found, key=lambda s: s.value)[:room]
    drawn = [
        {
            "shape": s,
            "name": clean(s.column.name),
            "svg": figures.svg(
                partial(
                    draw_column,
                    column=s.column,
                    sides=(real[s.column.name], made[s.column.name]),
                ),
                f"{clean(s.column.name)}: real and new rows of {clean(addition.label)}",
            ),
        }
        for s in found
        if s in least_alike
    ]
    return {
        "label": clean(addition.label),
        "rows": addition.rows,
        "real": len(real),
        "reason": clean(addition.reason),
        "shapes": found,
        "mean": float(np.mean([s.value for s in found])) if found else None,
        "reference": float(np.mean([s.reference for s in found])) if found else None,
        "figures": drawn,
        "clouds": clouds(Table(real, result.schema), [real, made], figures),
        "rest": [clean(s.column.name) for s in found if s not in least_alike],
        "training": _training(result, addition.label, figures),
        "sample": _first_rows(made),
    }


def augmented_picture(result: Augmented) -> Picture | None:
    """Make the figure for notebooks: the column of the first class that differs most."""
    for label, found in _shapes(result).items():
        if found:
            worst = min(found, key=lambda s: s.value)
            real, made = (rows[worst.column.name] for rows in _rows_of(result, label))
            return Picture(
                partial(draw_column, column=worst.column, sides=(real, made)),
                f"{worst.column.name}: real and new rows of {label}",
                f"{worst.column.name}, the column that differs most: similarity "
                f"{worst.value:.2f}; between halves of the real rows {worst.reference:.2f}.",
                (4.4, 2.6),
                ((f"{len(real):,} real rows", "real"), (f"{len(made):,} new rows", "made")),
            )
    return None


def _shapes(result: Augmented) -> dict[Any, list[Shape]]:
    """The column shapes of each class that has new rows."""
    return {a.label: column_shapes(result, a.label) for a in result.additions if a.rows}


def column_shapes(result: Augmented, label: Any) -> list[Shape]:
    """Compare real and new rows of one class, column by column.

    The real rows are split into halves ten times, with a fixed seed. The new rows and the first
    half are each compared with the second half, with equal numbers of rows, so that both scores
    have the same sampling noise.
    """
    real, made = _rows_of(result, label)
    rng = np.random.default_rng(0)
    real = real.iloc[np.sort(rng.permutation(len(real))[: 2 * SCORED_ROWS])]
    made = made.iloc[np.sort(rng.permutation(len(made))[: 2 * SCORED_ROWS])]
    size = max(1, min(len(real) // 2, len(made)))
    found = []
    for column in result.schema.features:
        if column.kind not in COMPARED:
            continue
        a, b = _comparable(column, real[column.name]), _comparable(column, made[column.name])
        distance = _variation if column.kind in LEVELS else _kolmogorov_smirnov
        draws = np.random.default_rng(1)
        values, references = [], []
        for _ in range(SPLITS):
            order = draws.permutation(len(a))
            first, second = a[order[:size]], a[order[len(a) - size :]]
            values.append(1 - distance(b[draws.permutation(len(b))[:size]], second))
            references.append(1 - distance(first, second))
        gone = [float(real[column.name].isna().mean()), float(made[column.name].isna().mean())]
        found.append(Shape(column, float(np.mean(values)), float(np.mean(references)), *gone))
    return found


def _rows_of(result: Augmented, label: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Real and new rows of one class."""
    column = result.schema[result.schema.target]
    of_class = column.codes(result.pandas_frame[column.name]) == column.categories.index(label)
    real, made = of_class & ~result.is_synthetic, of_class & result.is_synthetic
    return result.pandas_frame[real].reset_index(drop=True), result.pandas_frame[made].reset_index(
        drop=True
    )


def _comparable(column: Column, series: pd.Series) -> np.ndarray:
    """Category codes, or numbers with infinity for missing cells; float64 of shape (rows,)."""
    if column.kind in LEVELS:
        return codes(column, series).astype(np.float64)
    values, gone = column.numbers(series)
    return np.where(gone, np.inf, values.astype(np.float64))


def _kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference between the two empirical distribution functions."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    gap = np.searchsorted(a, both, "right") / len(a) - np.searchsorted(b, both, "right") / len(b)
    return float(np.abs(gap).max())


def _variation(a: np.ndarray, b: np.ndarray) -> float:
    """Half the sum, over all values, of the absolute difference of their frequencies."""
    values = np.unique(np.concatenate([a, b]))
    shares = [
        np.bincount(np.searchsorted(values, x), minlength=len(values)) / len(x) for x in (a, b)
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


# --- figures ----------------------------------------------------------------------------------


def _amounts(result: Augmented, figures: Figures) -> str:
    """SVG of the validated average precision for each amount; "" if nothing was validated."""
    found = result.validated
    if found is None or not found.curve:
        return ""
    curve, chosen = found.curve, words(found.amount)

    def draw(axes: Axes) -> None:
        places = range(len(curve))
        axes.plot(places, list(curve.values()), color=REAL, linewidth=1.4, marker="o")
        axes.plot([*curve].index(chosen), curve[chosen], color=MADE, marker="o", markersize=8)
        axes.set_xticks(places, [*curve])
        axes.set_xlabel("amount of new rows", color=INK, fontsize=8)
        axes.set_ylabel("average precision", color=INK, fontsize=8)

    return figures.svg(draw, "Average precision for each amount of new rows", (5, 2.4))


def _training(result: Augmented, label: Any, figures: Figures) -> dict[str, Any] | None:
    """Training curves of the network of a class; None if no network was trained."""
    synthesizer = result.synthesizer
    if not isinstance(synthesizer, NetworkSynthesizer) or label not in synthesizer.history_:
        return None
    history = synthesizer.history_[label]
    curves = [
        (
            "Losses",
            figures.svg(
                lambda axes: _draw_losses(axes, history), "Losses over the training", (5, 2.4)
            ),
        )
    ]
    if history.held_out:
        title = "Distance to held-out real rows over the training"
        curves.append(
            (title, figures.svg(lambda axes: _draw_held_out(axes, history), title, (5, 2.4)))
        )
    return {
        "curves": curves,
        "scope": synthesizer.scope_[label],
        "steps": history.steps[-1] if history.steps else 0,
        "best_step": history.best_step,
        "seconds": history.seconds,
    }


def _draw_losses(axes: Axes, history: History) -> None:
    for (name, values), colour in zip(history.losses.items(), (REAL, MADE, THIRD), strict=False):
        axes.plot(
            history.steps,
            values,
            color=colour,
            linewidth=1.4,
            label=name,
            marker="." if len(values) < 3 else "",
        )
    axes.set_xlabel("step", color=INK, fontsize=8)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _draw_held_out(axes: Axes, history: History) -> None:
    steps = history.steps[-1]
    every = -(-steps // 20)  # the runner evaluates 20 times
    evaluated = [min((i + 1) * every, steps) for i in range(len(history.held_out))]
    axes.plot(evaluated, history.held_out, color=REAL, linewidth=1.4, marker=".")
    axes.axvline(history.best_step, color=MADE, linewidth=1.2, linestyle="--")
    axes.set_xlabel("step", color=INK, fontsize=8)


def _first_rows(made: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Column names, and the cells of the first five new rows as text."""
    head = made.head(5)
    cells = [
        ["" if pd.isna(v) else clean(v)[:40] for v in row]
        for row in head.astype(object).itertuples(index=False)
    ]
    return [clean(c) for c in made.columns], cells


def _guard_notes(label: Any, found: dict[str, Any]) -> Iterator[str]:
    """Yield sentences on near copies, warnings, found rules, and rules that real rows break."""
    if found["near_copies"] == "allowed":
        yield (
            f"New rows of “{clean(label)}” are real rows with a little noise, so near copies of "
            f"training rows were not refused."
        )
    if found["note"]:
        yield clean(found["note"]) + "."
    if found["found_rules"]:
        yield (
            f"New rows satisfy the rules that all real rows satisfy: "
            f"{clean('; '.join(found['found_rules']))}."
            + (
                f" In {found['restored']:,} rows a cell was corrected accordingly."
                * bool(found["restored"])
            )
        )
    for rule, share in found["broken_by_real_rows"].items():
        if share:
            yield f"{share:.1%} of the real rows of “{clean(label)}” break “{clean(rule)}”."
