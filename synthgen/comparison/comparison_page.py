"""The page of a comparison: two verdicts, each strategy with its interval, and what was run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from synthgen.comparison.subgroups import Group
from synthgen.comparison.verdicts import Result
from synthgen.model_selection.scoring import METRICS, RECALLS, THRESHOLDS
from synthgen.model_selection.selection import MARGIN
from synthgen.report.card import Picture, plain_advice, plain_cards
from synthgen.report.figures import FIFTH, FOURTH, INK, MADE, REAL, THIRD, Figures, percent, short
from synthgen.report.template import clean, fill

if TYPE_CHECKING:
    from synthgen.comparison.comparison import Comparison

DRAWN = 3  # strategies in a figure of curves, beside doing nothing
COLOURS = {"real": REAL, "made": MADE, "third": THIRD, "fourth": FOURTH}


def render_comparison(comparison: Comparison) -> str:
    """Render the page of a comparison as HTML text; the same comparison gives the same text."""
    figures = Figures()
    metrics = list(dict.fromkeys(r.metric for r in comparison.results))
    judged = list(dict.fromkeys(m for m in (comparison.metric, comparison.decision)))
    shown = _shown(comparison)
    return fill(
        "comparison.html.j2",
        label=clean(comparison.label),
        target=clean(comparison.target),
        rows=comparison.rows,
        rare=comparison.rare,
        estimator=clean(comparison.estimator),
        folds=comparison.folds,
        repeats=comparison.repeats,
        splits=comparison.splits,
        cost=comparison.cost,
        verdicts=[
            {
                "kind": kind,
                "outcome": v.outcome,
                "text": clean(v.text),
                "chosen": [(clean(name), count) for name, count in v.chosen.items()],
            }
            for kind, v in comparison.verdict.items()
        ],
        advice=plain_advice(comparison.recommendation),
        cards=plain_cards(comparison.cards),
        chances=[
            {
                "name": clean(c.strategy),
                "gain": c.gain,
                "interval": c.interval,
                "shares": (c.helps, c.equal, c.harms),
            }
            for c in comparison.chances
        ],
        rankings=[_ranking(comparison, metric, figures) for metric in judged],
        metrics=[(m, METRICS[m].words, METRICS[m].sign > 0) for m in metrics],
        table=[_strategy(comparison, name, metrics) for name in comparison.strategies],
        curves=_curves(comparison, shown, figures),
        shown=[(clean(name), key) for name, key in zip(shown, COLOURS, strict=False)],
        real_rows=_real_rows(comparison, figures),
        chance_bars=_chance_bars(comparison, figures),
        amounts=_amounts(comparison, figures),
        by=_groups(comparison, figures),
        pruned={clean(k): clean(v) for k, v in comparison.pruned.items()},
        not_applicable={clean(k): clean(v) for k, v in comparison.not_applicable.items()},
        notes=[clean(note) for note in comparison.notes],
        seconds=sum(comparison.seconds.values()),
        metric=METRICS[comparison.metric].words,
        seed=comparison.seed,
    )


def comparison_picture(comparison: Comparison) -> Picture:
    """Make the figure for notebooks: the gain of each strategy with its interval."""
    results = _ordered(comparison, comparison.metric)
    words, money = METRICS[comparison.metric].words, comparison.metric == "cost"
    against = "doing nothing" if results[0].against == "nothing" else "moving the threshold alone"
    return Picture(
        partial(_draw_forest, results=results, money=money),
        f"Gain in {words} over {against}, with intervals",
        f"Gain in {words} over {against}. Bars are simultaneous 95 % intervals. A strategy helps "
        f"if its bar lies right of zero.",
        (4.8, 0.9 + 0.26 * len(results)),
    )


def _ordered(comparison: Comparison, metric: str) -> list[Result]:
    """Results of a metric, the greatest gain first."""
    found = [r for r in comparison.results if r.metric == metric]
    return sorted(found, key=lambda r: -r.difference)


def _shown(comparison: Comparison) -> list[str]:
    """Doing nothing and the strategies with the greatest gains."""
    best = [r.strategy for r in _ordered(comparison, comparison.metric)]
    best = [name for name in best if name in comparison.curves and name != "nothing"]
    first = ["nothing"] if "nothing" in comparison.curves else []
    return first + best[:DRAWN]


def _strategy(comparison: Comparison, name: str, metrics: Sequence[str]) -> dict[str, Any]:
    results = {r.metric: r for r in comparison.results if r.strategy == name}
    settings = comparison.settings.get(name, {})
    return {
        "name": clean(name),
        "family": next(iter(results.values())).family,
        "seconds": comparison.seconds.get(name),
        "settings": ", ".join(f"{k} ({n}×)" for k, n in sorted(settings.items())),
        "means": [results[m].mean if m in results else None for m in metrics],
    }


def _groups(comparison: Comparison, figures: Figures) -> dict[str, Any] | None:
    if comparison.by is None:
        return None
    scored = [group for group in comparison.by.groups if not group.too_few]
    about = METRICS[comparison.metric]
    return {
        "column": clean(comparison.by.column),
        "rows": [
            {
                "group": clean(group.value),
                "rows": group.rows,
                "rare": group.rare,
                "name": clean(r.strategy),
                "mean": r.mean,
                "mean_interval": r.mean_interval,
                "difference": r.difference,
                "interval": r.interval,
                "reference": r.strategy == "nothing",
            }
            for group in scored
            for r in group.results
        ],
        "too_few": [
            (clean(group.value), clean(group.too_few))
            for group in comparison.by.groups
            if group.too_few
        ],
        "svg": figures.svg(
            partial(_draw_groups, groups=scored, words=about.words),
            f"{about.words} of doing nothing within each group, with intervals",
            (4.6, 0.9 + 0.26 * len(scored)),
        )
        if scored
        else "",
    }


# --- figures --------------------------------------------------------------------------------------


def _ranking(comparison: Comparison, metric: str, figures: Figures) -> dict[str, Any]:
    about, results = METRICS[metric], _ordered(comparison, metric)
    against = results[0].against
    height = 0.9 + 0.26 * len(results)
    return {
        "metric": metric,
        "words": about.words,
        "against": "doing nothing" if against == "nothing" else "moving the threshold alone",
        "sign": about.sign,
        "money": metric == "cost",
        "rows": [
            {
                "name": clean(r.strategy),
                "family": r.family,
                "mean": r.mean,
                "difference": r.difference,
                "interval": r.interval,
                "reference": r.strategy == against,
            }
            for r in results
        ],
        "forest": figures.svg(
            partial(_draw_forest, results=results, money=metric == "cost"),
            f"Gain in {about.words} over {against}, with intervals",
            (4.6, height),
        ),
        "dots": figures.svg(
            partial(_draw_dots, results=results, money=metric == "cost"),
            f"{about.words} of each strategy on each split",
            (4.6, height),
        ),
    }


def _lines(axes: Axes, names: Sequence[str]) -> None:
    """Label the y axis with one line per name, the first at the top."""
    axes.set_yticks(np.arange(len(names)), [short(clean(name)) for name in names])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=5)


def _draw_groups(axes: Axes, groups: Sequence[Group], words: str) -> None:
    for place, group in enumerate(groups):
        found = group.result("nothing")
        axes.plot(found.mean_interval, [place, place], color=REAL, linewidth=2.2)
        axes.plot(found.mean, place, marker="o", markersize=5, color=REAL)
    _lines(axes, [group.value for group in groups])
    axes.set_xlabel(words, color=INK, fontsize=8)


def _strategies(axes: Axes, results: Sequence[Result], money: bool) -> None:
    _lines(axes, [r.strategy for r in results])
    if money:
        axes.xaxis.set_major_formatter(_money)


def _money(value: float, _: object = None) -> str:
    """A cost at a tick: whole from 10 on, otherwise with the digits that tell ticks apart."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{round(value, 6) or 0.0:.3g}"


def _zoom(axes: Axes, results: Sequence[Result], spans: Sequence[tuple[float, float]]) -> None:
    """If doing nothing lies far away, leave it out of the x axis and draw an arrow towards it."""
    near = [s for r, s in zip(results, spans, strict=True) if r.strategy != "nothing"]
    if not near:
        return
    low, high = min(s[0] for s in near), max(s[1] for s in near)
    room = 0.06 * (high - low)
    if max(s[1] for s in spans) - min(s[0] for s in spans) <= 3 * (high - low) or not room:
        return
    axes.set_xlim(low - room, high + room)
    for place, (first, last) in enumerate(spans):
        if first > high or last < low:
            x, marker = (high + room, ">") if first > high else (low - room, "<")
            axes.plot(x, place, marker=marker, markersize=7, color=MADE, clip_on=False)


def _draw_forest(axes: Axes, results: Sequence[Result], money: bool) -> None:
    axes.axvline(0, color=REAL, linewidth=1.2)
    if not money:
        axes.axvline(MARGIN, color=FIFTH, linewidth=1, linestyle="--")
    for place, r in enumerate(results):
        if r.strategy == r.against:
            axes.plot(0, place, marker="o", markersize=5, color=REAL)
            continue
        axes.plot(r.interval, [place, place], color=MADE, linewidth=2.2, solid_capstyle="butt")
        axes.plot(r.difference, place, marker="o", markersize=5, color=MADE)
    _zoom(axes, results, [r.interval for r in results])
    _strategies(axes, results, money)
    axes.set_xlabel("gain, to the right is better", color=INK, fontsize=8)


def _draw_dots(axes: Axes, results: Sequence[Result], money: bool) -> None:
    for place, r in enumerate(results):
        colour = REAL if r.strategy == r.against else MADE
        values = np.array(r.values)
        axes.plot(values, np.full(len(values), place), "o", markersize=4, color=colour, alpha=0.4)
        axes.plot([r.mean, r.mean], [place - 0.3, place + 0.3], color=colour, linewidth=2)
    _zoom(axes, results, [(min(r.values), max(r.values)) for r in results])
    _strategies(axes, results, money)
    axes.set_xlabel(METRICS[results[0].metric].words, color=INK, fontsize=8)


def _curves(
    comparison: Comparison, shown: Sequence[str], figures: Figures
) -> list[tuple[str, str, str]]:
    """Draw precision over recall, calibration, and the cost at each threshold."""
    curves = {name: comparison.curves[name] for name in shown}
    if not curves:
        return []
    share = comparison.rare / comparison.rows
    out = [
        ("pr", "Precision and recall", partial(_draw_pr, curves=curves, share=share)),
        ("calibration", "Calibration", partial(_draw_calibration, curves=curves)),
    ]
    if comparison.cost is not None and all("cost" in c for c in curves.values()):
        fn, fp = comparison.cost
        out.append(("cost", "Cost", partial(_draw_cost, curves=curves, best=fp / (fn + fp))))
    return [
        (kind, title, figures.svg(draw, f"{title} of {', '.join(shown)}", (3.3, 2.7)))
        for kind, title, draw in out
    ]


def _named(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK, fontsize=8)
    axes.set_ylabel(y, color=INK, fontsize=8)


def _draw_pr(axes: Axes, curves: dict[str, dict[str, list[Any]]], share: float) -> None:
    axes.axhline(share, color=FIFTH, linewidth=1, linestyle="--")
    for found, colour in zip(curves.values(), COLOURS.values(), strict=False):
        axes.plot(RECALLS, found["precision"], color=colour, linewidth=1.5)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)
    _named(axes, "recall", "precision")


def _draw_calibration(axes: Axes, curves: dict[str, dict[str, list[Any]]]) -> None:
    """Draw calibration on logarithmic axes, since most probabilities of a rare class are small."""
    lowest = 1.0
    for found, colour in zip(curves.values(), COLOURS.values(), strict=False):
        rows, predicted, rare = (np.array(part, dtype=float) for part in found["calibration"])
        there = (rows > 0) & (rare > 0) & (predicted > 0)
        x, y = predicted[there] / rows[there], rare[there] / rows[there]
        axes.plot(x, y, color=colour, linewidth=1.5, marker=".", markersize=5)
        lowest = min([lowest, *x.tolist(), *y.tolist()])
    axes.plot([lowest, 1], [lowest, 1], color=FIFTH, linewidth=1, linestyle="--")
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    axes.minorticks_off()
    _named(axes, "predicted probability", "observed share of the class")


def _draw_cost(axes: Axes, curves: dict[str, dict[str, list[Any]]], best: float) -> None:
    axes.axvline(best, color=FIFTH, linewidth=1, linestyle="--")
    for found, colour in zip(curves.values(), COLOURS.values(), strict=False):
        axes.plot(THRESHOLDS[1:], found["cost"][1:], color=colour, linewidth=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(_money)
    axes.set_ylim(bottom=0)
    _named(axes, "threshold", "cost of 1,000 rows")


def _chance_bars(comparison: Comparison, figures: Figures) -> str:
    """Draw one bar per strategy: the probabilities that it helps, is equal, or harms."""
    chances = comparison.chances
    if not chances:
        return ""

    def draw(axes: Axes) -> None:
        left = np.zeros(len(chances))
        for name, colour in (("helps", THIRD), ("equal", FIFTH), ("harms", MADE)):
            share = np.array([getattr(c, name) for c in chances])
            axes.barh(np.arange(len(chances)), share, left=left, color=colour, height=0.6)
            left += share
        _lines(axes, [c.strategy for c in chances])
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(percent)

    title = "Probability that a strategy helps, makes no relevant difference, or harms"
    return figures.svg(draw, title, (5.0, 0.7 + 0.26 * max(len(chances), 3)))


def _amounts(comparison: Comparison, figures: Figures) -> dict[str, Any] | None:
    """Draw the metric over the amount of new rows, for strategies tried with several amounts."""
    found: dict[str, list[Result]] = {}
    for r in comparison.results:
        base, _, amount = r.strategy.rpartition(":")
        if r.metric == comparison.metric and base and amount:
            found.setdefault(base, []).append(r)
    found = {base: several for base, several in found.items() if len(several) > 1}
    if not found:
        return None
    amounts = sorted({_amount(r.strategy) for several in found.values() for r in several})
    none = comparison.result("nothing", comparison.metric).mean
    colours = {"made": MADE, "third": THIRD, "fourth": FOURTH, "fifth": FIFTH}

    def draw(axes: Axes) -> None:
        axes.axhline(none, color=REAL, linewidth=1.2, linestyle="--")
        for several, colour in zip(found.values(), colours.values(), strict=False):
            drawn = sorted(several, key=lambda r: _amount(r.strategy))
            places = [amounts.index(_amount(r.strategy)) for r in drawn]
            means = np.array([r.mean for r in drawn])
            ends = np.array([np.subtract(r.interval, r.difference) for r in drawn]).T
            axes.errorbar(places, means, np.abs(ends), color=colour, marker="o", capsize=3)
        axes.set_xticks(range(len(amounts)), [name for _, name in amounts])
        _named(axes, "amount of new rows", METRICS[comparison.metric].words)

    return {
        "svg": figures.svg(draw, f"Amounts of rows by {', '.join(found)}", (5.0, 2.6)),
        "colours": [(clean(name), key) for name, key in zip(found, colours, strict=False)],
    }


def _amount(strategy: str) -> tuple[float, str]:
    """Return a sort key (shares first, then double, then balance) and the amount as text."""
    text = strategy.rpartition(":")[2]
    try:
        return float(text), f"{100 * float(text):g} %"
    except ValueError:
        return (2.0 if text == "double" else 3.0), text


def _real_rows(comparison: Comparison, figures: Figures) -> dict[str, Any] | None:
    found = comparison.real_rows
    if found is None:
        return None
    rare = [share * comparison.rare * (1 - 1 / comparison.folds) for share in found.shares]

    def draw(axes: Axes) -> None:
        axes.plot(rare, found.means, color=REAL, linewidth=1.5, marker="o", markersize=4)
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        axes.locator_params(nbins=5)
        _named(axes, "training rows of the class", METRICS[comparison.metric].words)

    return {
        "svg": figures.svg(draw, "Estimated gain from more real rows", (4.4, 2.6)),
        "doubling": found.doubling,
        "interval": found.interval,
    }
