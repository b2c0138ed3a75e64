"""The battery: several detectors separate synthetic from held-out rows; the best one counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from synthgen.metrics.arithmetic import Arithmetic
from synthgen.metrics.detectors import Boosting, Detector, detectors, out_of_fold
from synthgen.metrics.facts import Fact, strongest
from synthgen.metrics.samples import Samples, independent, some
from synthgen.metrics.score import Score
from synthgen.seeds import RandomState, child_seed, seed_sequence

FOLDS = 3
MOST_ROWS = 10_000
# Up to FEW rows, the AUC depends strongly on the folds, so it is averaged over REPEATS splits.
FEW, REPEATS = 500, 3
# All rows of a fold are scored by one classifier. The standard error of the AUC is therefore 1.05
# to 1.5 times that of independent scores (measured with 40 to 1,000 rows per side).
DEPENDENT = 1.4
# Smallest number of rows per sample; with fewer, no detector has any power.
FEWEST = 10


@dataclass(frozen=True)
class Told:
    """How well one detector separates one sample from the held-out rows.

    Attributes:
        area: ROC-AUC; 0.5 if it cannot separate them.
        error: Half the width of the 95 % interval of `area`.
    """

    area: float
    error: float

    @property
    def score(self) -> float:
        """2 (1 − max(0.5, AUC)): 1 if samples cannot be separated, 0 if they always can."""
        return _score(self.area)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the score."""
        return _score(self.area + self.error), _score(self.area - self.error)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.score:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class Finding:
    """The result of one detector.

    Attributes:
        detector: Name: ``"boosting"``, ``"arithmetic"``, ``"mlp"`` or ``"neighbours"``.
        words: Description of the detector for reports.
        rows: Number of rows per sample.
        made: How well it separates the synthetic rows from the held-out rows.
        real: The same for an equal number of other real rows.
        independent: The same for these real rows with each column shuffled independently.
    """

    detector: str
    words: str
    rows: int
    made: Told
    real: Told
    independent: Told

    @property
    def has_power(self) -> bool:
        """Whether it separates independent columns from real rows (positive control)."""
        return self.independent.interval[1] < self.real.interval[0]

    @property
    def quoted(self) -> bool:
        """Whether its value is informative and counts."""
        return self.has_power or self.made.interval[1] < self.real.interval[0]

    @property
    def floor(self) -> float:
        """The score that maps to 0: that of independent columns if it has power on them."""
        return self.independent.score if self.has_power else 0.0

    @property
    def value(self) -> float:
        """(score − independent) / (real − independent)."""
        if not self.quoted:
            return float("nan")
        return (self.made.score - self.floor) / (self.real.score - self.floor)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of `value` by the delta method; None if it is not informative."""
        if not self.quoted:
            return None
        share = self.value
        # Derivatives of the value with respect to the scores; a score changes twice as fast as
        # its AUC.
        parts = [self.made.error, share * self.real.error]
        parts += [(1 - share) * self.independent.error] if self.has_power else []
        error = 2 * float(np.linalg.norm(parts)) / (self.real.score - self.floor)
        return share - error, share + error


@dataclass(frozen=True)
class Battery:
    """The results of all detectors.

    Attributes:
        group: The measured rows: ``"all"`` or a class.
        findings: One result for each detector.
        fact: The fact that separates synthetic from held-out rows best, among those that the best
            detector can use. None if no fact separates them better than it separates other real
            rows.
    """

    group: str
    findings: tuple[Finding, ...]
    fact: Fact | None

    @property
    def worst(self) -> Finding | None:
        """The result with the lowest value; None if no detector is informative."""
        quoted = [f for f in self.findings if f.quoted]
        return min(quoted, key=lambda f: f.value) if quoted else None

    @property
    def value(self) -> float:
        """The lowest value of the detectors; NaN if none is informative."""
        return float("nan") if self.worst is None else self.worst.value

    @property
    def sentence(self) -> str:
        """Name the best detector, and the fact that separates the rows."""
        if not self.findings:
            return f"Nothing was measured: it needs a column and {FEWEST} rows of each table"
        if self.worst is None:
            return (
                "No detector separates even independent columns from real rows: there are too few "
                "rows, or the columns are independent"
            )
        start = f"The best detector is {self.worst.words}"
        if self.worst.made.interval[1] >= self.worst.real.interval[0]:
            return f"{start}; it separates these rows from real ones no better than other real rows"
        if self.fact is None:
            return f"{start}; it uses several columns together, as no column or pair is enough"
        return f"{start}. What it can use: {self.fact}"

    def scores(self) -> list[Score]:
        """The headline score, then one score for each detector."""
        worst = self.worst
        out = [
            Score(
                "fidelity.battery",
                self.group,
                self.value,
                None if worst is None else 1.0,
                "higher",
                None if worst is None else worst.interval,
                None if worst is None else 0.0,
                self.sentence,
            )
        ]
        for one in self.findings:
            note = (
                f"{one.words}, {one.rows:,} rows of each sample: two-sample score {one.made}; real "
                f"rows {one.real}, independent columns {one.independent}"
            )
            if not one.quoted:
                note = f"not used, as it cannot separate independent columns from real rows: {note}"
            name = f"fidelity.battery_{one.detector}"
            known = (1.0, one.interval, 0.0) if one.quoted else (None, None, None)
            out.append(Score(name, self.group, one.value, known[0], "higher", *known[1:], note))
        return out


def battery(
    draws: Samples,
    *,
    boosting: Boosting = "histogram",
    most_rows: int = MOST_ROWS,
    random_state: RandomState = 0,
) -> Battery:
    """Train four detectors to separate synthetic rows from held-out real rows."""
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(child_seed(seed, 0))
    train, made, fresh = (in_order(cells) for cells in (draws.train, draws.made, draws.fresh))
    if not len(draws.matrix.columns) or min(map(len, (train, made, fresh))) < FEWEST:
        return Battery(draws.group, (), None)
    arithmetic = Arithmetic.of(draws.matrix)
    battery = detectors(draws.matrix, arithmetic, train, boosting)
    rows = min(len(train), len(made), len(fresh), most_rows)
    held, made, real = (some(rng, cells, rows) for cells in (fresh, made, train))
    samples = (made, real, independent(rng, real))
    findings = tuple(
        finding(detector, held, samples, child_seed(seed, 1, number))
        for number, detector in enumerate(battery)
    )
    found = Battery(draws.group, findings, None)
    if found.worst is None:
        return found
    kinds = next(one.kinds for one in battery if one.name == found.worst.detector)
    return replace(found, fact=_given_away(arithmetic, held, made, real, kinds))


def _given_away(
    arithmetic: Arithmetic,
    held: np.ndarray,
    made: np.ndarray,
    real: np.ndarray,
    kinds: tuple[str, ...],
) -> Fact | None:
    """Find the strongest fact, unless facts separate other real rows from held-out ones as well."""
    fact, usual = (strongest(arithmetic, held, other, kinds) for other in (made, real))
    return None if fact is None or usual is None or fact.gap <= usual.gap else fact


def in_order(cells: np.ndarray) -> np.ndarray:
    """Sort rows by their cells, so that no random draw depends on the order of the input."""
    return cells[np.lexsort(cells.T)] if cells.shape[1] else cells


def finding(
    detector: Detector,
    held: np.ndarray,
    samples: tuple[np.ndarray, np.ndarray, np.ndarray],
    seed: np.random.SeedSequence,
) -> Finding:
    """Run one detector on the synthetic rows and on both controls."""
    rows = min(len(held), detector.rows)
    real = detector.features(held[:rows])
    y = np.repeat([False, True], rows)
    told = []
    # Use the same folds for all samples, so that their effect on the AUC cancels in the value.
    rng = np.random.default_rng(seed)
    partings = [
        (stratified_folds(y, rng), int(rng.integers(2**31)))
        for _ in range(REPEATS if rows <= FEW else 1)
    ]
    for sample in samples:
        features = np.vstack([real, detector.features(sample[:rows])])
        given = [out_of_fold(detector, features, y, *parting) for parting in partings]
        areas, errors = zip(*(delong_area(y, one) for one in given), strict=True)
        told.append(Told(float(np.mean(areas)), float(np.mean(errors))))
    return Finding(detector.name, detector.words, rows, *told)


def stratified_folds(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign each row to a fold, stratified by side; shape (rows,)."""
    fold = np.empty(len(y), dtype=np.int64)
    for side in (y, ~y):
        fold[rng.permutation(np.flatnonzero(side))] = np.arange(side.sum()) % FOLDS
    return fold


def delong_area(y: np.ndarray, told: np.ndarray) -> tuple[float, float]:
    """Compute the ROC-AUC and the half-width of its interval (DeLong et al. 1988)."""
    m, n = int(y.sum()), int((~y).sum())
    whole = rankdata(told)
    # For each row, the share of the other side below it (or above it).
    above = (whole[y] - rankdata(told[y])) / n
    below = 1 - (whole[~y] - rankdata(told[~y])) / m
    area = float(above.mean())
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n if min(m, n) > 1 else 0.0
    chance = (m + n + 1) / (12 * m * n)
    return area, 1.96 * DEPENDENT * float(np.sqrt(max(variance, chance)))


def _score(area: float) -> float:
    return float(2 * (1 - min(1.0, max(0.5, area))))
