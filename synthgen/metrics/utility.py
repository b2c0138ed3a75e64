"""Utility: how well classifiers trained on synthetic rows of a class do on real test rows.

The rows are used in four ways, each compared with the same classifier trained on real rows:

- ``replace``: real rows of the other classes, and synthetic rows of the class, at most as many as
  there are real ones. The reference has an equal number of real rows of the class; the floor has
  rows of noise instead (each column drawn independently from the real rows of the other classes).
- ``augment``: all real and all synthetic rows. The reference has all real rows and an equal number
  of fresh rows of the class, or fewer if there are not enough. If there are too few, it has the
  real rows alone, and a note says so. The floor has rows of noise instead of the synthetic ones.
- ``whole``: synthetic rows only, if other classes are synthetic too. The reference has an equal
  number of real rows, the floor of noise rows.
- ``fresh``, ``fresh_augment``: the control, with fresh real rows instead of synthetic ones. They
  are the rows of the class in one half of the holdout, and the other half is the test. The halves
  are then swapped, so that all of the holdout is tested.

Names of scores are ``utility.replace.average_precision`` and so on, with ``roc_auc``;
``recall_at_precision`` (of 0.5); ``balanced_accuracy``, ``recall``, ``f1`` and ``mcc`` at the
threshold with the best F1 on out-of-fold real rows; ``brier``, ``log_loss`` and
``calibration_slope`` after correction to the share of the class in train (Saerens et al. 2002);
``ap_ratio`` and ``ap_gain``, the average precision over and minus that of real rows (for
``augment``: of real rows alone) on the same test. A calibration slope of 1 is best; below it,
probabilities are too extreme. The test keeps the class shares of the holdout. The reference of
``ap_ratio`` and ``ap_gain`` is that of the control; without a control it is 1 and 0 by definition,
and the note says so. Intervals include the variance of the test (a bootstrap of the test rows
within each class, and of the out-of-fold rows that set the threshold) and of training (classifiers
trained on half-samples).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from synthgen.metrics.score import Part, Score
from synthgen.metrics.utility_rows import UtilityData, groups_by
from synthgen.metrics.utility_trial import OF_CLASS, SETS_OF_CLASS, Trial
from synthgen.model_selection.classifiers import DEFAULT_JUDGES, check_judges, described
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.schema import class_position
from synthgen.tables.table import Table


def utility(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    label: Any,
    judges: Sequence[str] = DEFAULT_JUDGES,
    thorough: bool = False,
    by: Hashable | None = None,
    random_state: RandomState = 0,
) -> Part:
    """Train classifiers on synthetic rows and test them on real ones: one class."""
    judges = check_judges(judges)
    position = class_position(train.schema.classes, label)
    name = str(train.schema.classes[position])
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(child_seed(seed, 0))
    data = UtilityData.of(train, synthetic, holdout, position, rng)
    groups = {} if by is None else groups_by(train, holdout, by, data)
    tested = int(data.y_test.sum())
    notes = [
        f"“{name}” makes up {data.y_test.mean():.2%} of the test ({tested:,} of "
        f"{len(data.y_test):,} real rows), as in the holdout, and {data.natural:.2%} of train. "
        f"Average precision depends on this share.",
        *data.notes,
    ]
    if lacking := _lacking(data, name):
        ratio = "utility.replace.ap_ratio"
        unknown = Score(ratio, judges[0], np.nan, 1.0, "higher", None, None, lacking)
        return Part([unknown], notes=notes)
    scores, used = [], {}
    curves: dict[str, dict[str, np.ndarray]] = {}
    for judge in judges:
        trial = Trial.of(data, judge, thorough, child_seed(seed, 1, 0))  # same draws for each
        scores += trial.scores(groups)
        curves |= trial.curves()
        used[judge] = described(judge, trial.settings if thorough else None)
        if thorough:
            notes.append(f"{judge} tuned on real rows: {trial.settings or 'the default settings'}")
    notes.append(
        f"Fresh real rows are those of {name} in one half of the test; classifiers trained on them "
        f"are tested on the other half."
        if data.has_fresh
        else f"no control with fresh real rows: {tested} test rows of {name} are too few to halve"
    )
    if not data.has_whole:
        notes.append(
            "training on synthetic rows alone is not tested, because they are of one class"
        )
    return Part(scores, curves, notes, used)


def utility_of_class(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    label: Any,
    judge: str,
    group: str,
    random_state: RandomState = 0,
) -> Part:
    """Measure whether synthetic rows of a class can replace the real ones, with one classifier."""
    position = class_position(train.schema.classes, label)
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(child_seed(seed, 0))
    data = UtilityData.of(train, synthetic, holdout, position, rng)
    if lacking := _lacking(data, str(train.schema.classes[position])):
        return Part([Score(OF_CLASS[0], group, np.nan, 1.0, "higher", None, None, lacking)])
    trial = Trial.of(data, judge, False, child_seed(seed, 1, 0), SETS_OF_CLASS)
    return Part(trial.of_class(group))


def _lacking(data: UtilityData, name: str) -> str:
    """The reason why no test is possible; empty if a test is possible."""
    tested, made = int(data.y_test.sum()), len(data.made_rare)
    if tested and tested < len(data.y_test) and made and len(data.rest):
        return ""
    return (
        f"{tested:,} test rows of {name}, {len(data.y_test) - tested:,} other test rows and "
        f"{made:,} synthetic rows: utility needs some of each"
    )
