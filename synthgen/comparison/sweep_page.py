"""The page of a sweep: how every strategy does as the class gets rarer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from synthgen.comparison.comparison_page import COLOURS
from synthgen.model_selection.scoring import METRICS
from synthgen.report.card import Picture, plain_advice
from synthgen.report.figures import FIFTH, INK, Figures, short
from synthgen.report.template import clean, fill

if TYPE_CHECKING:
    from synthgen.comparison.sweep import Sweep


def render_sweep(sweep: Sweep) -> str:
    """Render the page of a sweep as HTML text; the same sweep gives the same text."""
    figures, first = Figures(), sweep.points[0]
    about = METRICS[first.metric]
    shown = coloured(sweep)
    others = [name for name in sweep.strategies if name not in (*shown, "threshold")]
    return fill(
        "sweep.html.j2",
        target=clean(sweep.target),
        label=clean(sweep.label),
        rows=sweep.rows,
        rare=sweep.rare,
        estimator=clean(first.estimator),
        metric=about.words,
        lower=about.sign < 0,
        shown=[(clean(name), key) for name, key in zip(shown, COLOURS, strict=False)],
        others=[clean(name) for name in others],
        curve=figures.svg(
            partial(draw_curves, sweep=sweep),
            f"{about.words} of each strategy as the class gets rarer",
            (4.8, 3.4),
        ),
        gains=figures.svg(
            partial(_draw_gains, sweep=sweep),
            f"Gain in {about.words} over doing nothing as the class gets rarer",
            (4.8, 3.4),
        ),
        points=[_point(sweep, place) for place in range(len(sweep.points))],
        strategies=[
            (clean(name), sweep.curve(name)) for name in sweep.strategies if name != "threshold"
        ],
        advice=plain_advice(sweep.recommendation),
        seed=sweep.seed,
    )


def sweep_picture(sweep: Sweep) -> Picture:
    """Make the figure for notebooks: the metric of the best strategies at each rate."""
    about = METRICS[sweep.points[0].metric]
    words = f"{about.words[:1].upper()}{about.words[1:]}"
    return Picture(
        partial(draw_curves, sweep=sweep),
        f"{words} of each strategy as the class gets rarer",
        f"{words} of doing nothing and of the strategies with the greatest gains.",
        key=tuple(zip(coloured(sweep), COLOURS, strict=False)),
    )


def coloured(sweep: Sweep) -> list[str]:
    """List the strategies drawn in colour: nothing, and those with the largest average gains."""
    gains: dict[str, list[float]] = {}
    for point in sweep.points:
        for name in point.strategies:
            if name not in ("nothing", "threshold"):
                gains.setdefault(name, []).append(point.result(name).difference)
    best = sorted(gains, key=lambda name: (-len(gains[name]), -float(np.mean(gains[name]))))
    return ["nothing", *best[: len(COLOURS) - 1]]


def _point(sweep: Sweep, place: int) -> dict[str, Any]:
    point = sweep.points[place]
    others = [r for r in point.results if r.metric == point.metric and r.strategy != "nothing"]
    others = [r for r in others if r.strategy != "threshold"]
    best = max(others, key=lambda r: r.difference, default=None)
    return {
        "rate": rate_text(sweep.rates[place]),
        "guess": sweep.rates[place],
        "accuracy": f"{100 * sweep.always_no[place]:.4g} %",
        "rare": point.rare,
        "splits": point.splits,
        "nothing": point.result("nothing").mean,
        "best": None if best is None else (clean(best.strategy), best.difference, best.interval),
        "outcomes": [(kind, clean(v.text)) for kind, v in point.verdict.items()],
        "pruned": {clean(k): clean(v) for k, v in point.pruned.items()},
        "not_applicable": {clean(k): clean(v) for k, v in point.not_applicable.items()},
        "seconds": sum(point.seconds.values()),
    }


def rate_text(rate: float, _: object = None) -> str:
    return f"{100 * rate:.2g} %" if rate < 0.995 else "100 %"


def draw_curves(axes: Axes, sweep: Sweep) -> None:
    """Draw the metric of each strategy by rate, with guessing and the accuracy of always no."""
    shown = coloured(sweep)
    for name in sweep.strategies:
        if name not in (*shown, "threshold"):
            axes.plot(sweep.rates, sweep.curve(name), color=FIFTH, linewidth=0.8, alpha=0.7)
    for name, colour in zip(shown, COLOURS.values(), strict=False):
        axes.plot(
            sweep.rates, sweep.curve(name), color=colour, linewidth=1.7, marker="o", markersize=4
        )
    metric = METRICS[sweep.points[0].metric]
    if metric.sign > 0:
        axes.plot(sweep.rates, sweep.always_no, color=INK, linewidth=1.2, linestyle="--")
        axes.set_ylim(-0.02, 1.03)
    if sweep.points[0].metric == "average_precision":
        axes.plot(sweep.rates, sweep.rates, color=FIFTH, linewidth=1.2, linestyle=":")
    _rate_axis(axes, sweep)
    axes.set_ylabel(metric.words, color=INK, fontsize=8)


def _draw_gains(axes: Axes, sweep: Sweep) -> None:
    """Draw the gains of the coloured strategies with their intervals, side by side at each rate."""
    names = coloured(sweep)[1:]
    axes.axhline(0, color=COLOURS["real"], linewidth=1.2)
    for i, (name, colour) in enumerate(zip(names, [*COLOURS.values()][1:], strict=False)):
        for rate, point in zip(sweep.rates, sweep.points, strict=True):
            if name in point.strategies:
                found = point.result(name)
                x = rate * 1.08 ** (i - (len(names) - 1) / 2)
                axes.plot([x, x], found.interval, color=colour, linewidth=2)
                axes.plot(x, found.difference, marker="o", markersize=4, color=colour)
    _rate_axis(axes, sweep)
    words = METRICS[sweep.points[0].metric].words
    axes.set_ylabel(f"gain in {short(words, 40)}", color=INK, fontsize=8)


def _rate_axis(axes: Axes, sweep: Sweep) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sweep.rates, [rate_text(rate) for rate in sweep.rates])
    axes.minorticks_off()
    axes.set_xlim(min(sweep.rates) / 1.3, max(sweep.rates) * 1.3)
    axes.set_xlabel("share of the class (rarer to the left)", color=INK, fontsize=8)
