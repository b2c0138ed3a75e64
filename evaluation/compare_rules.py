"""By which rule should `compare` recommend a change?

    python evaluation/compare_rules.py       the section of benchmark.md; no classifier is trained

A *case* is a cell of benchmark.jsonl whose scores on the five inner folds were kept, and one of the
classifiers that `compare` knows: what it gains by each remedy, foretold by the inner folds and then
judged on the rows that were held out. `auto` in a fold is the set of members that is best on the
other folds, which stands in for a choice on folds within folds; tuned boosting is chosen likewise.

The rule is chosen on two thirds of the tables and judged on the third, in rotation: of those that
gain the most, to .001, the one that recommends the fewest changes in the runs of
compare_null.jsonl, in which each remedy bears the name, and so the prior, of `auto` in turn. The
prior of a case is fitted without the tables of the judged third and without its own. How much wider
the posterior of `auto` must be than the t-test supposes is chosen in the same way, by the log
density of the gain on the judged rows.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import compare_null
import numpy as np
import pandas as pd
from benchmark import (
    AUTO,
    AVERAGES,
    FEW,
    FOLDS,
    PRODUCT,
    RESULTS,
    Found,
    averages,
    cells_of,
    interval,
    interval_text,
    joined,
    load,
    markdown,
    told,
)
from scipy.optimize import minimize
from scipy.stats import t as student

from synthgen.comparison.recommendation import (
    ALONE,
    FIRST,
    LIKELY,
    PRIOR_FREEDOM,
    SURE,
    WIDER,
    Chances,
    Prior,
    chances_of,
    guessing,
    margin_of,
)
from synthgen.model_selection.selection import CONFIDENCE, corrected

METRIC = "average_precision"
RATIO = 1 / (FOLDS - 1)
BINS = ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01))
WIDTHS = (1.0, 1.25, 1.5, 2.0)  # of the posterior of auto, in those of the t-test
# On ten further tables, with another protocol, the mean of three gained .017; here it gains .042 on
# average. Two collections with these means have this standard deviation.
COLLECTIONS = 0.018
# What each classifier of `compare` is here; of two, inner folds choose, as `compare` tunes.
CLASSIFIERS = {"hgb": ("boosting", "small"), "rf": ("forest",), "lr": ("logistic",)}
SIMPLEST = ("logistic", "forest", "extra_trees", "bagged", FIRST, *AVERAGES)  # remedies, in order


@dataclass(frozen=True, eq=False)
class Case:
    """A cell and a classifier: scores on inner folds, and what each remedy gained."""

    table: str
    classifier: str
    names: list[str]
    scores: np.ndarray  # (remedies, folds)
    nothing: np.ndarray  # (folds,)
    gains: np.ndarray  # (remedies,), judged
    elsewhere: np.ndarray  # (remedies,), mean of the table's other cells

    @property
    def margin(self) -> float:
        return margin_of(METRIC, float(self.nothing.mean()))

    def chances(self, prior: Prior | None = None) -> list[Chances]:
        priors = None if prior is None else {FIRST: prior}
        how: dict[str, Any] = {"ratio": RATIO, "margin": self.margin, "priors": priors}
        return chances_of(self.names, self.scores, self.nothing, **how)


@dataclass(frozen=True)
class Rule:
    """On what conditions `auto` may be recommended; the other remedies must be established.

    Attributes:
        prior: Whether it has its prior.
        sure: It must help with at least this probability.
        alone: And with at least this one by the scores alone; None: its own 95 % interval by the
            scores alone must be above 0.
    """

    prior: bool
    sure: float
    alone: float | None = None

    def __str__(self) -> str:
        if self.alone is None:
            return f"helps with {self.sure:g}, own interval above 0"
        alone = f", with {self.alone:g} without prior" if self.prior else ", no prior"
        return f"helps with {self.sure:g}{alone}"

    def picked(self, plain: list[Chances], known: list[Chances], margin: float) -> int | None:
        """Position of the recommended remedy: the simplest that gains about the most."""
        chances, able = known if self.prior else plain, []
        for n, (c, by_itself) in enumerate(zip(chances, plain, strict=True)):
            if c.strategy != FIRST:
                holds = c.established and c.helps >= SURE
            elif self.alone is None:
                holds = by_itself.interval[0] > 0 and c.helps >= self.sure
            else:
                holds = by_itself.helps >= self.alone and c.helps >= self.sure
            if holds:
                able.append(n)
        most = max((chances[n].gain for n in able), default=0.0)
        return next((n for n in able if chances[n].gain >= most - margin), None)


BEFORE = Rule(False, SURE)  # what `compare` did before there was a prior
STRICT = Rule(True, SURE, ALONE)  # what it did before changes were chosen by what they gain
USED = Rule(True, LIKELY, LIKELY)  # what it does
STEPS = (0.5, 0.6, 0.7, 0.8, 0.9)
RULES = [
    BEFORE,
    *(Rule(False, sure, sure) for sure in (*STEPS, 0.95)),
    *(Rule(True, *how) for how in product(STEPS, STEPS)),
]
RULE_NAMES = {str(rule) for rule in RULES}


# --- cases ----------------------------------------------------------------------------------------


def on_folds(found: Found, sets: Sequence[str]) -> np.ndarray:
    """The score on each fold of the one that is best on the other folds."""
    scores = np.array([found[name]["inner_folds"] for name in sets])
    rest = scores.sum(axis=1, keepdims=True) - scores
    return scores[rest.argmax(axis=0), np.arange(scores.shape[1])]


def best_inside(found: Found, names: Sequence[str]) -> str:
    return max(names, key=lambda name: found[name]["inner_ap"])


def gains_of(found: Found, classifier: str) -> dict[str, float]:
    nothing = found[best_inside(found, CLASSIFIERS[classifier])]["ap"]
    ap = {name: found[AUTO if name == FIRST else name]["ap"] for name in SIMPLEST}
    return {n: ap[n] - nothing for n in SIMPLEST if n not in CLASSIFIERS[classifier]}


Cells = dict[tuple[str, str, int], Found]


def cases_of(cells: Cells) -> list[Case]:
    out = []
    for key, found in cells.items():
        table, size, _ = key
        if size not in (*FEW, "300") or "inner_folds" not in found["boosting"]:
            continue
        sets = [joined(some) for some in averages(PRODUCT)]
        sets = [name for name in sets if "inner_folds" in found[name]]
        for classifier, own in CLASSIFIERS.items():
            gains = gains_of(found, classifier)
            others = [
                list(gains_of(other, classifier).values())
                for (name, rows, split), other in cells.items()
                if name == table and rows != "all" and (name, rows, split) != key
            ]
            scores = [on_folds(found, sets if name == FIRST else [name]) for name in gains]
            out.append(
                Case(
                    table,
                    classifier,
                    [*gains],
                    np.array(scores),
                    on_folds(found, own),
                    np.array([*gains.values()]),
                    np.mean(others, axis=0) if others else np.zeros(len(gains)),
                )
            )
    return out


class Priors:
    """The prior of `auto`, fitted to all cells but those of some tables."""

    def __init__(self, cells: Cells) -> None:
        self.gains = {
            classifier: [
                (table, gains_of(found, classifier)[FIRST])
                for (table, size, _), found in cells.items()
                if size != "all"
            ]
            for classifier in CLASSIFIERS
        }

    @functools.cache  # noqa: B019 - one object in the run
    def of(self, classifier: str, without: frozenset[str] = frozenset()) -> Prior:
        gains = [gain for table, gain in self.gains[classifier] if table not in without]
        _, location, scale = student.fit(gains, fdf=PRIOR_FREEDOM)
        return round(float(location), 3), round(float(np.hypot(scale, COLLECTIONS)), 3)


def predicted(cells: Cells, priors: Priors) -> dict[str, dict[str, float]]:
    """Mean log score of the gain of `auto` on tables that had no say, by what predicts it.

    A Student-t regression, fitted to two thirds of the tables, on the rows of the class and on the
    score of nothing on inner folds (its log odds); "neither" is what the prior uses.
    """
    out: dict[str, dict[str, float]] = {}
    for classifier, pairs in priors.gains.items():
        table, gain = np.array([name for name, _ in pairs]), np.array([g for _, g in pairs])
        rows, level = [], []
        for (_, size, _), found in cells.items():
            if size != "all":
                inner = found[best_inside(found, CLASSIFIERS[classifier])]["inner_ap"]
                rows.append(np.log10(float(size)) - 1.5)
                level.append(np.log(np.clip(inner, 0.01, 0.99) / (1 - np.clip(inner, 0.01, 0.99))))
        columns = {"neither": [], "rows": [rows], "score of nothing": [level]}
        out[classifier] = {}
        for name, given in columns.items():
            X = np.column_stack([np.ones(len(gain)), *given])
            score = np.empty(len(gain))
            for third in range(3):
                own = np.isin(table, sorted(set(table))[third::3])
                score[own] = _t_regression(X[~own], gain[~own], X[own], gain[own])
            out[classifier][name] = round(float(score.mean()), 3)
    return out


def _t_regression(X: np.ndarray, y: np.ndarray, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Log density of what was seen, after a fit by maximum likelihood."""

    def loss(p: np.ndarray) -> float:
        return -float(student.logpdf(y, PRIOR_FREEDOM, X @ p[:-1], np.exp(p[-1])).sum())

    start = [float(np.median(y)), *[0.0] * (X.shape[1] - 1), float(np.log(y.std()))]
    p = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000}).x
    return student.logpdf(seen, PRIOR_FREEDOM, at @ p[:-1], np.exp(p[-1]))


# --- where nothing helps --------------------------------------------------------------------------


def null_runs(prior: Prior) -> dict[str, dict[str, float]]:
    """Share of the runs of compare_null.jsonl in which each rule recommends a change."""
    rows = []
    for run in compare_null.load():
        scores = {name: np.array(values) for name, values in run["scores"].items()}
        nothing = scores.pop("nothing")
        margin = margin_of(METRIC, float(nothing.mean()))
        (level,), (error,) = corrected(nothing[None], RATIO)
        half = float(student.ppf((1 + CONFIDENCE) / 2, len(nothing) - 1) * error)
        kind = run["kind"].split(",")[0]
        if level - half <= (guessing(METRIC, run["prevalence"]) or 0.0):
            rows.append({"kind": kind} | {str(rule): 0.0 for rule in RULES})
            continue
        hits = {str(rule): [] for rule in RULES}
        for named in scores:
            names = [FIRST if name == named else name for name in scores]
            how: dict[str, Any] = {"ratio": RATIO, "margin": margin}
            values = np.array([*scores.values()])
            plain = chances_of(names, values, nothing, **how)
            known = chances_of(names, values, nothing, priors={FIRST: prior}, **how)
            for rule in RULES:
                hits[str(rule)].append(rule.picked(plain, known, margin) is not None)
        rows.append({"kind": kind} | {rule: float(np.mean(of)) for rule, of in hits.items()})
    return pd.DataFrame(rows).groupby("kind").mean().to_dict("index")


def null_cases(cases: Sequence[Case], priors: dict[str, Prior], times: int = 4) -> dict[str, float]:
    """The same for scores drawn with the covariance of each case, all true gains being 0.

    Splits are correlated as the test supposes: what a training part shares adds the variance
    n_test / n_train of one split to the mean of all.
    """
    rng = np.random.default_rng(0)
    hits = {str(rule): [] for rule in (BEFORE, STRICT, USED)}
    for case in cases:
        residual = case.scores - case.nothing
        residual = residual - residual.mean(axis=1, keepdims=True)
        folds = residual.shape[1]
        for _ in range(times):
            noise = residual @ rng.standard_normal((folds, folds)) / np.sqrt(folds - 1)
            shared = residual @ rng.standard_normal((folds, 1)) / np.sqrt(folds - 1)
            drawn = case.nothing + noise + np.sqrt(RATIO) * shared
            null = Case("", "", case.names, drawn, case.nothing, case.gains, case.gains)
            plain, known = null.chances(), null.chances(priors[case.classifier])
            for rule in (BEFORE, STRICT, USED):
                hits[str(rule)].append(rule.picked(plain, known, case.margin) is not None)
    return {rule: round(float(np.mean(found)), 3) for rule, found in hits.items()}


# --- where something helps ------------------------------------------------------------------------


def gained(
    cases: Sequence[Case], priors: Priors, without: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each rule gains in each case, and whether it recommends a change.

    The prior of a case is fitted without its own table and without these.
    """
    gains, changes = [], []
    for case in cases:
        plain = case.chances()
        known = case.chances(priors.of(case.classifier, frozenset([*without, case.table])))
        places = {str(rule): rule.picked(plain, known, case.margin) for rule in RULES}
        gains.append({r: 0.0 if n is None else float(case.gains[n]) for r, n in places.items()})
        changes.append({r: n is not None for r, n in places.items()})
    return pd.DataFrame(gains), pd.DataFrame(changes)


def references(cases: Sequence[Case], held: Sequence[str]) -> pd.DataFrame:
    """What each case gains by the remedies with which a recommendation is compared."""
    rows = []
    for case in cases:
        others = [c for c in cases if c.classifier == case.classifier and c.table not in held]
        fixed = int(np.argmax(np.mean([c.gains for c in others], axis=0)))
        own = int(np.argmax(case.elsewhere))
        rows.append(
            {
                "fixed": case.gains[fixed],
                "same table": case.gains[own] if case.elsewhere[own] > 0 else 0.0,
                "raw": max(float(case.gains.max()), 0.0),
                "name": case.names[fixed],
            }
        )
    return pd.DataFrame(rows)


def choice(gains: pd.DataFrame, table: np.ndarray, null: dict[str, dict[str, float]]) -> Rule:
    """Of the rules that gain the most, to .001, the one that errs least where nothing helps."""
    means = gains.groupby(table).mean().mean()
    most = max(float(means[str(rule)]) for rule in RULES)
    near = [rule for rule in RULES if means[str(rule)] >= most - 0.001]
    return min(near, key=lambda rule: max(found[str(rule)] for found in null.values()))


def study(cells: Cells) -> dict[str, Any]:
    """All figures of the section."""
    cases, priors = cases_of(cells), Priors(cells)
    if not cases:
        return {}
    everywhere = {classifier: priors.of(classifier) for classifier in CLASSIFIERS}
    null = null_runs(everywhere["hgb"])
    table = np.array([case.table for case in cases])
    tables = sorted({name for name, _, _ in cells})
    parts, changed, chosen = [], [], []
    for held in (tables[third::3] for third in range(3)):
        is_held = np.isin(table, held)
        gains, changes = gained(cases, priors, held)
        rule = choice(gains[~is_held], table[~is_held], null)
        chosen.append(str(rule))
        gains["nested"], changes["nested"] = gains[str(rule)], changes[str(rule)]
        parts.append(pd.concat([gains, references(cases, held)], axis=1)[is_held])
        changed.append(changes[is_held])
    # In the order of the cases again.
    frame, changes = pd.concat(parts).sort_index(), pd.concat(changed).sort_index()
    names = ["nested", *(str(rule) for rule in RULES)]
    return {
        "cells": len(cases) // len(CLASSIFIERS),
        "cases": len(cases),
        "tables": len(set(table)),
        "priors": everywhere,
        "predicted": predicted(cells, priors),
        "chosen": chosen,
        "chosen on all": str(choice(gained(cases, priors, [])[0], table, null)),
        "fixed": sorted(set(frame["name"])),
        "nothing helps": null,
        "nothing helps, as named": compare_null.changes(),
        "nothing helps, auto included": null_cases(cases, everywhere),
        "rules": {name: _judged(frame, frame[name], changes[name], table) for name in names},
        "references": {
            name: _judged(frame, frame[name], frame[name] != 0, table)
            for name in ("fixed", "same table", "raw")
        }
        | {"nothing": _judged(frame, frame["raw"] * 0, frame["raw"] < 0, table)},
        "by classifier": {
            classifier: {
                name: interval(frame[name][own].groupby(table[own]).mean())
                for name in ("nested", str(STRICT), str(USED), "fixed", "same table")
            }
            for classifier in CLASSIFIERS
            if (own := np.array([case.classifier == classifier for case in cases])).any()
        },
        "reliability": reliability(cases, priors),
        "widths": widths(cases, tables),
    }


def widths(cases: Sequence[Case], tables: Sequence[str]) -> dict[str, Any]:
    """How wide the posterior of `auto` must be for the gain on the judged rows to be likely in it.

    Mean log density of that gain by the width, in those of the t-test; the width that is best on
    two thirds of the tables, and its mean on the third. The noise of the judged rows is part of it.
    """
    rows = []
    for case in cases:
        place = case.names.index(FIRST)
        (mean,), (error,) = corrected((case.scores[place] - case.nothing)[None], RATIO)
        if error > 0:
            freedom = len(case.nothing) - 1
            given = {k: student.logpdf(case.gains[place], freedom, mean, k * error) for k in WIDTHS}
            rows.append({"table": case.table} | given)
    frame = pd.DataFrame(rows)
    judged, chosen = [], []
    for held in (tables[third::3] for third in range(3)):
        is_held = frame["table"].isin(held)
        best = max(WIDTHS, key=lambda k: float(frame.loc[~is_held, k].mean()))
        chosen.append(best)
        judged += frame.loc[is_held, best].tolist()
    return {
        "cases": len(frame),
        "density": {str(k): round(float(frame[k].mean()), 3) for k in WIDTHS},
        "chosen": chosen,
        "judged": round(float(np.mean(judged)), 3),
    }


def _judged(frame: pd.DataFrame, gain: pd.Series, change: pd.Series, table: np.ndarray) -> Any:
    """A row of the table of rules; intervals are over means of tables."""
    return {
        "changes": int(change.sum()),
        "losses": int((gain < 0).sum()),
        "gain": interval(gain.groupby(table).mean()),
    } | {
        f"regret, {name}": interval((frame[name] - gain).groupby(table).mean())
        for name in ("fixed", "same table", "raw")
    }


def reliability(cases: Sequence[Case], priors: Priors) -> dict[str, Any]:
    """Do the probabilities come true on rows that had no part in them?"""
    rows = []
    for case in cases:
        known = case.chances(priors.of(case.classifier, frozenset([case.table])))
        for plain, c, gain in zip(case.chances(), known, case.gains, strict=True):
            rows.append((c.strategy == FIRST, plain.helps, c.helps, gain > case.margin))
    frame = pd.DataFrame(rows, columns=["auto", "plain", "prior", "helped"])
    auto = frame[frame["auto"]]
    return {
        "all remedies, no prior": _reliability(frame["plain"], frame["helped"]),
        "auto, no prior": _reliability(auto["plain"], auto["helped"]),
        "auto, with prior": _reliability(auto["prior"], auto["helped"]),
    }


def _reliability(told: pd.Series, helped: pd.Series) -> dict[str, Any]:
    safe, share = told.clip(0.01, 0.99), float(helped.mean())
    return {
        "bins": [
            {
                "from": low,
                "to": min(high, 1.0),
                "told": round(float(told[own].mean()), 3),
                "helped": round(float(helped[own].mean()), 3),
                "cases": int(own.sum()),
            }
            for low, high in BINS
            if (own := (told >= low) & (told < high)).any()
        ],
        "log_score": round(float(np.log(np.where(helped, safe, 1 - safe)).mean()), 3),
        "log_score_of_the_share": round(
            float(np.log(np.where(helped, share, 1 - share)).mean()), 3
        ),
    }


# --- in words -------------------------------------------------------------------------------------


def section(found: dict[str, Any]) -> list[str]:
    """The lines of benchmark.md."""
    if not found:
        return []
    null = found["nothing helps"]
    floor = found["references"]["fixed"]["regret, raw"]["mean"]
    shown = [BEFORE, STRICT, USED, Rule(False, ALONE, ALONE), Rule(False, LIKELY, LIKELY)]
    shown += [Rule(True, sure, LIKELY) for sure in (0.6, 0.7, SURE)]
    names = ["nested", *map(str, shown)]
    titles = {
        "nothing": "*never a change*",
        "fixed": f"*the remedy that is best on other tables ({', '.join(found['fixed'])})*",
        "same table": "*the remedy that is best in other cells of the table*",
        "raw": "*the remedy that is best on the judged rows*",
        "nested": "**chosen on two thirds, judged on the third**",
    }
    rows = []
    for name in [*names, *found["references"]]:
        is_rule = name in found["rules"]
        own = found["rules" if is_rule else "references"][name]
        false = [f"{null[kind][name]:.1%}" if name in RULE_NAMES else "" for kind in null]
        rows.append(
            [
                titles.get(name, name),
                *false,
                f"{own['changes']} of {found['cases']}",
                own["losses"],
                told(own["gain"]),
                *(interval_text(own[f"regret, {of}"]) for of in ("fixed", "same table", "raw")),
            ]
        )
    head = ["rule", *(f"changes, {kind}" for kind in null), "changes", "losses"]
    head += ["recommended less nothing", "regret", "regret, same table", "regret, raw"]
    out = [
        "## What `compare` recommends, judged",
        "",
        f"{found['cells']} cells of {found['tables']} tables in which the scores of the five inner "
        f"folds were kept, each with three classifiers (tuned boosting, a forest, logistic "
        f"regression): {found['cases']} cases. The remedies are the other learners, two averages "
        "and `auto`. See the docstring of `compare_rules.py`.",
        "",
        "*Regret*: the remedy that has the highest mean on the other two thirds of the tables less "
        "the recommended; it was not picked on the rows that judge it, so it is not inflated by "
        "their noise. *Same table*: the remedy that is best in the other cells of the table "
        "(nothing included) less the recommended: what knowing the table would add. *Raw*: the "
        "remedy that is best on the judged rows less the recommended; the best of many looks "
        "better than it is, so a rule that knew which remedy is best over all tables would still "
        f"have {floor:+.3f}. *Changes, another seed* and *changes, shuffled*: share of the runs of "
        "`compare_null.jsonl` in which a change is recommended if one of the remedies, none of "
        "which helps, bears the name of `auto`, and so its prior (that for boosting). As they are "
        "named, a change is recommended in "
        + "; ".join(
            f"{n['change']} of {n['runs']} runs ({kind}) [{n['low']:.1%}, {n['high']:.1%}]"
            for kind, n in found["nothing helps, as named"].items()
        )
        + ".",
        "",
        markdown(head, rows),
        "",
        "The second and third rule are those of `compare` before, the fourth is what it does now: "
        "`auto` must be more likely to help than not, by this table alone as well as with its "
        "prior; every other remedy must be established by this table, in all rules. Chosen in the "
        f"three rotations: {'; '.join(found['chosen'])}; on all tables: {found['chosen on all']}. "
        "By classifier, recommended less nothing:",
        "",
        markdown(
            ["rule", *found["by classifier"]],
            [
                [titles.get(name, name), *(told(f[name]) for f in found["by classifier"].values())]
                for name in ("nested", str(STRICT), str(USED), "fixed", "same table")
            ],
        ),
        "",
        "If every true gain were 0, that of `auto` included, and scores varied as in these cases, "
        + "; ".join(
            f"the rule *{rule}* would recommend a change in {share:.1%}"
            for rule, share in found["nothing helps, auto included"].items()
        )
        + ". Such a world contradicts the prior, and there a change loses nothing on average but "
        "the time of `auto`: it is the price of recommending `auto` where it may help.",
        "",
        "The prior of the gain of `auto`, a Student t with "
        f"{PRIOR_FREEDOM} degrees of freedom (location, scale): "
        + ", ".join(f"{name} {a:+.3f}, {b:.3f}" for name, (a, b) in found["priors"].items())
        + f". The scale holds {COLLECTIONS} for other collections of tables. It does not depend on "
        "the rows of the class or on the score of nothing, because the mean log score on tables "
        "that had no say hardly rises with them ("
        + "; ".join(
            f"{name}: " + ", ".join(f"{of} {value:.3f}" for of, value in scores.items())
            for name, scores in found["predicted"].items()
        )
        + "). The width of the tables was not tried.",
        "",
        "## Do the probabilities of `compare` come true?",
        "",
        "*Told*: the probability, by the inner folds, that a remedy helps by more than the margin; "
        "*helped*: the share that did so on the judged rows, which are few where the table is "
        "small, so *helped* is itself noisy. The prior is fitted without the table.",
        "",
    ]
    wide = found["widths"]
    out += [
        "The posterior of `auto` is wider than the t-test supposes, by a factor of "
        f"{WIDER:g}. Mean log density of its gain on the judged rows ({wide['cases']} cases), by "
        "the factor: "
        + ", ".join(f"{k}: {value:.3f}" for k, value in wide["density"].items())
        + f". Chosen in the three rotations: {', '.join(map(str, wide['chosen']))}; judged on the "
        f"tables that had no say: {wide['judged']:.3f}.",
        "",
    ]
    for name, own in found["reliability"].items():
        bins = [
            [f"{b['from']:g} to {b['to']:g}", f"{b['told']:.2f}", f"{b['helped']:.2f}", b["cases"]]
            for b in own["bins"]
        ]
        out += [
            f"{name[0].upper()}{name[1:]}: mean log score {own['log_score']:.3f}; of telling the "
            f"same share to all {own['log_score_of_the_share']:.3f}.",
            "",
            markdown(["told", "mean", "helped", "cases"], bins),
            "",
        ]
    return out


def main() -> None:
    found = study(cells_of(load(RESULTS)))
    print("\n".join(section(found)))
    for rule, own in found["rules"].items():
        null = ", ".join(f"{of[rule]:.3f}" for of in found["nothing helps"].values() if rule in of)
        print(f"{rule}: {null}; {told(own['gain'])}; {own['changes']} changes")


if __name__ == "__main__":
    main()
