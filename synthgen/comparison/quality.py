"""Cross-validated quality of a fitted classifier, compared with plain boosting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.metrics import f1_score

from synthgen.model_selection.ranking import adjusted_precision
from synthgen.model_selection.scoring import rank
from synthgen.model_selection.selection import Difference, compare_to, corrected
from synthgen.report.answer import Card, Recommendation, Tone
from synthgen.report.shown import Shown, repr_lines

if TYPE_CHECKING:
    from synthgen.report.card import Picture

PREDICT = "synthgen predict MODEL NEW -o OUT"
OWN, PLAIN_NAME = "this classifier", "plain boosting"
BINS = 8  # of a reliability diagram; each has about the same expected number of rows of the class
WORDS = {
    "average_precision": "average precision",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "macro_average_precision": "average precision, mean over the classes",
    "macro_f1": "F1, mean over the classes",
}


@dataclass(frozen=True, eq=False)
class Quality(Shown):
    """Cross-validated scores of a classifier.

    Each row is scored out of fold: models, selection of members and calibration have not used it.
    The threshold is the exception; it was chosen on all of these rows.

    Attributes:
        recommendation: How to use the classifier.
        label: The class of interest.
        rows, rare: Number of scored rows, and number of rows of the class among them.
        folds: Number of finished folds.
        figures: Metrics by name, for this classifier and for plain boosting (scikit-learn's
            defaults, not calibrated). Average precision is adjusted for chance, because a random
            ranking of few rows has more than the share of the class.
        gain: Average precision of this classifier minus that of plain boosting.
        interval: 95 % interval of the gain.
        recall: Share of the rows of the class that are predicted as such, at the threshold.
        precision: Share of the predictions of the class that are right, at the threshold.
        false_alarms: False positive rate at the threshold: share of the other rows.
        reliability: For both classifiers, a list of bins (mean predicted probability, observed
            share of the class, number of rows).
        notes: Further notes, one sentence each.
    """

    recommendation: Recommendation
    label: str
    rows: int
    rare: int
    folds: int
    figures: dict[str, dict[str, float]]
    gain: float
    interval: tuple[float, float]
    recall: float
    precision: float
    false_alarms: float
    reliability: dict[str, list[tuple[float, float, int]]]
    notes: tuple[str, ...] = ()

    @property
    def cards(self) -> tuple[Card, ...]:
        """Three findings: ranking, threshold and calibration, each compared with boosting."""
        own, plain = self.figures[OWN], self.figures[PLAIN_NAME]
        alarms = "It raises no alarm."
        if not np.isnan(self.precision):
            alarms = (
                f"{self.precision:.0%} of its alarms are right, and {self.false_alarms:.2%} of the "
                f"other rows get a false alarm."
            )
        better: Tone = "good" if self.gain > 0 else "middling"
        sharper: Tone = "good" if own["log_loss"] < plain["log_loss"] else "middling"
        return (
            Card(
                "Ranking",
                f"{self.gain:+.3f} over plain boosting",
                f"Average precision {own['average_precision']:.3f}, plain boosting "
                f"{plain['average_precision']:.3f}; area under the ROC curve "
                f"{own['roc_auc']:.3f}, plain boosting {plain['roc_auc']:.3f}.",
                better,
            ),
            Card(
                "Threshold",
                f"finds {self.recall:.0%} of the class",
                alarms,
            ),
            Card(
                "Probabilities",
                f"log-loss {own['log_loss']:.3f}",
                f"Plain boosting {plain['log_loss']:.3f}; calibration error "
                f"{own['calibration_error']:.3f}, plain boosting "
                f"{plain['calibration_error']:.3f}.",
                sharper,
            ),
        )

    def __repr__(self) -> str:
        lines = [f"Quality on {self.rows:,} rows, {self.rare:,} of class {self.label!r}"]
        lines += [f"- {card.line()}" for card in self.cards]
        return repr_lines(self.recommendation, [*lines, "to_frame() has all figures"])

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """Each metric for this classifier and for plain boosting."""
        own, plain = self.figures[OWN], self.figures[PLAIN_NAME]
        rows = [[WORDS[name], f"{own[name]:.3f}", f"{plain[name]:.3f}"] for name in own]
        return ["metric", OWN, PLAIN_NAME], rows

    def note_lines(self) -> list[str]:
        """Further notes, one line each."""
        return [f"note: {note}" for note in self.notes]

    def to_frame(self) -> pd.DataFrame:
        """Make a frame with columns ``metric``, ``this classifier`` and ``plain boosting``."""
        frame = pd.DataFrame(self.figures)[[OWN, PLAIN_NAME]]
        return frame.rename_axis("metric").reset_index()

    def to_json(self) -> dict[str, Any]:
        """Convert the quality to plain values for `json.dumps`."""
        return asdict(self)

    def _page(self) -> str:
        from synthgen.report.card import plain_advice, plain_cards
        from synthgen.report.figures import Figures
        from synthgen.report.template import clean, clean_all, fill

        picture = self._picture()
        heads, figures = self.key_figures()
        return fill(
            "quality.html.j2",
            label=clean(self.label),
            advice=plain_advice(self.recommendation),
            cards=plain_cards(self.cards),
            rows=self.rows,
            rare=self.rare,
            svg=Figures().svg(picture.draw, picture.title, picture.size),
            caption=picture.caption,
            key=picture.key,
            heads=heads,
            figures=figures,
            notes=clean_all(list(self.notes)),
        )

    def _picture(self) -> Picture:
        from synthgen.report.card import Picture

        return Picture(
            partial(_draw, reliability=self.reliability),
            "Reliability: predicted probability and observed share of the class",
            "Predicted probability (horizontal) and observed share of the class (vertical). On the "
            "diagonal, probabilities are right. Both axes are logarithmic.",
            key=((OWN, "made"), (PLAIN_NAME, "real")),
        )


def _by_fold(
    is_rare: np.ndarray, score: np.ndarray, weight: np.ndarray, tests: list[np.ndarray]
) -> np.ndarray:
    """Compute the average precision in each fold, adjusted for chance; shape (folds,)."""
    return np.array([adjusted_precision(is_rare[t], score[t], weight[t]) for t in tests])


def _decided(
    is_rare: np.ndarray, alarm: np.ndarray, weight: np.ndarray
) -> tuple[float, float, float]:
    """Compute recall, precision (NaN if no row is predicted), and false positive rate."""
    hits, false = weight[alarm & is_rare].sum(), weight[alarm & ~is_rare].sum()
    precision = float(hits / (hits + false)) if hits + false else float("nan")
    return float(hits / weight[is_rare].sum()), precision, float(false / weight[~is_rare].sum())


def quality(
    y: np.ndarray,
    rare: int,
    label: Any,
    fold: np.ndarray,
    p: np.ndarray,
    plain: np.ndarray,
    weight: np.ndarray,
    threshold: float,
    notes: tuple[str, ...],
) -> Quality:
    """Score out-of-fold probabilities."""
    is_rare = y == rare
    there = [k for k in np.unique(fold) if 0 < is_rare[fold == k].sum() < (fold == k).sum()]
    tests = [fold == k for k in there]
    scored = np.isin(fold, there)
    values, wholes = [], []
    for found in (p[:, rare], plain[:, rare]):
        values.append(_by_fold(is_rare, found, weight, tests))
        # All folds together: even the adjusted mean over folds of few rows is too high.
        wholes.append(adjusted_precision(is_rare[scored], found[scored], weight[scored]))
    (own_ap, plain_ap), (own, other) = values, wholes
    figures = {
        OWN: _figures(y, rare, p, weight, own, threshold),
        PLAIN_NAME: _figures(y, rare, plain, weight, other, 0.5),
    }
    prevalence = float(weight[is_rare].sum() / weight.sum())
    gain, above = None, None
    if len(there) > 1:
        ratio = 1 / (len(there) - 1)
        # Folds tell how far the gain varies; its middle is the gain of all folds together.
        moved = own_ap - (own_ap - plain_ap).mean() + own - other
        (gain,) = compare_to(moved[None], plain_ap, ratio=ratio, bounds=(0.0, 1.0))
        mean, error = corrected(own_ap[None] - prevalence, ratio)
        above = float(mean[0] - 2 * error[0])  # at most 0: it may be no better than guessing
    recall, precision, false_alarms = _decided(is_rare, p[:, rare] >= threshold, weight)
    advice = _in_words(
        label, figures, gain, above, prevalence, threshold, recall, precision, len(there)
    )
    return Quality(
        advice,
        str(label),
        len(y),
        int(is_rare.sum()),
        len(there),
        figures,
        own - other,
        (float("nan"), float("nan")) if gain is None else gain.interval,
        recall,
        precision,
        false_alarms,
        {
            OWN: _reliability(is_rare, p[:, rare], weight),
            PLAIN_NAME: _reliability(is_rare, plain[:, rare], weight),
        },
        notes,
    )


def _figures(
    y: np.ndarray,
    rare: int,
    p: np.ndarray,
    weight: np.ndarray,
    precision: float,
    threshold: float,
) -> dict[str, float]:
    is_rare = y == rare
    rows = _reliability(is_rare, p[:, rare], weight)
    found = {
        "average_precision": max(0.0, precision),
        **{n: rank(is_rare, p[:, rare], n, weight) for n in ("roc_auc", "log_loss", "brier")},
        "calibration_error": float(
            sum(abs(mean - share) * n for mean, share, n in rows) / sum(n for *_, n in rows)
        ),
    }
    if p.shape[1] > 2:
        several = [c for c in range(p.shape[1]) if 0 < (y == c).sum() < len(y)]
        found["macro_average_precision"] = float(
            np.mean([adjusted_precision(y == c, p[:, c], weight) for c in several])
        )
        called = p.copy()
        called[:, rare] = np.where(p[:, rare] >= threshold, 2, -1)
        found["macro_f1"] = float(
            f1_score(y, called.argmax(axis=1), average="macro", sample_weight=weight)
        )
    return found


def _reliability(
    is_rare: np.ndarray, p: np.ndarray, weight: np.ndarray
) -> list[tuple[float, float, int]]:
    """Bin rows by probability; all bins have about the same sum of probabilities."""
    order = np.argsort(p, kind="stable")
    mass = np.cumsum((p * weight)[order])
    bins = np.minimum((mass / max(mass[-1], 1e-300) * BINS).astype(int), BINS - 1)
    found = []
    for b in np.unique(bins):
        rows = order[bins == b]
        w = weight[rows]
        found.append((float(w @ p[rows] / w.sum()), float(w @ is_rare[rows] / w.sum()), len(rows)))
    return found


def _in_words(
    label: Any,
    figures: dict[str, dict[str, float]],
    gain: Difference | None,
    above: float | None,
    prevalence: float,
    threshold: float,
    recall: float,
    precision: float,
    folds: int,
) -> Recommendation:
    own, plain = (figures[name]["average_precision"] for name in (OWN, PLAIN_NAME))
    said = f"average precision {own:.3f} in {folds}-fold cross-validation"
    if gain is None or above is None:
        return Recommendation(
            "use with care",
            f"Use it with care: only one fold could be scored, with {said}.",
            "One fold gives no confidence interval.",
            PREDICT,
        )
    sure = (
        f"{said[0].upper()}{said[1:]}; plain boosting reaches {plain:.3f} (gain {gain.mean:+.3f}, "
        f"95 % interval [{gain.low:+.3f}, {gain.high:+.3f}]), guessing {prevalence:.3f}."
    )
    if above <= 0:
        return Recommendation(
            "collect",
            f"Do not rely on it yet: it is not shown to be better than guessing. Collect more rows "
            f"of {label!r}, or better columns.",
            sure,
        )
    alarms = "it raises no alarm"
    if not np.isnan(precision):
        alarms = f"{precision:.0%} of its alarms are right"
    return Recommendation(
        "use",
        f"Predict {label!r} if its probability is at least {threshold:.3g}: this finds "
        f"{recall:.0%} of the class, and {alarms}.",
        sure,
        PREDICT,
    )


def unscored(label: Any, rows: int, least: int) -> Recommendation:
    """The recommendation for a classifier that no held-out row could score."""
    why = f"class {label!r} has {rows} rows, and at least {least} are needed"
    if rows >= least:
        why = "the time budget allowed no fold, or all rows of the class are in one group"
    return Recommendation(
        "use with care",
        f"Use it with care: it could not be scored on held-out rows, because {why}.",
        "Its scores are not known, its probabilities are not calibrated, and its threshold is 0.5.",
        PREDICT,
    )


def scores_of(is_rare: np.ndarray, p: np.ndarray, threshold: float) -> dict[str, float]:
    """Score predictions of rows whose classes are known."""
    called = p >= threshold
    hits = int((called & is_rare).sum())
    return {
        "rows": len(p),
        "rare": int(is_rare.sum()),
        "average_precision": rank(is_rare, p, "average_precision"),
        "roc_auc": rank(is_rare, p, "roc_auc"),
        "recall": hits / int(is_rare.sum()),
        "precision": hits / int(called.sum()) if called.any() else float("nan"),
    }


def _draw(axes: Axes, reliability: dict[str, list[tuple[float, float, int]]]) -> None:
    from synthgen.report.figures import FIFTH, INK, MADE, REAL

    lowest = 1.0
    for (_, points), colour in zip(reliability.items(), (MADE, REAL), strict=True):
        shown = [(mean, share) for mean, share, _ in points if mean > 0 and share > 0]
        if shown:
            x, y = zip(*shown, strict=True)
            axes.plot(x, y, color=colour, linewidth=1.5, marker=".", markersize=5)
            lowest = min(lowest, *x, *y)
    axes.plot([lowest, 1], [lowest, 1], color=FIFTH, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    axes.minorticks_off()
    axes.set_xlabel("predicted probability", color=INK, fontsize=8)
    axes.set_ylabel("observed share of the class", color=INK, fontsize=8)
