"""The three risks of the Article 29 Working Party: singling out, linkability, inference.

The definitions are those of Giomi et al. 2023 (Anonymeter). Each attack uses the synthetic rows
against training rows and, as a control, against an equal number of holdout rows. Success on the
control is not due to training. The risk is the excess success as a share of the possible excess:
(train - control) / (1 - control).

- ``singling_out``: a condition on up to five columns that exactly one synthetic row satisfies is
  also satisfied by exactly one real row.
- ``linkability``: the two halves of a real row's columns share a synthetic row among the five
  nearest to each half. An attacker who has the halves in two tables can then link them.
- ``inference``: in one column, a real row has the value of the synthetic row that is nearest in all
  other columns; numbers count as equal within 5 %. The success is the mean over columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.score import Score
from synthgen.model_selection.intervals import wilson
from synthgen.seeds import child_seed
from synthgen.tables.column import NUMBERS, Column
from synthgen.tables.table import Table

RISKS = ("singling_out", "linkability", "inference")
# Upper limits: attacked rows of train and of the holdout; synthetic rows that the attacker has;
# rows of a table among which a condition must single out one; conditions; columns of a condition.
MOST_TARGETS, MOST_SEEN, MOST_AMONG = 400, 2500, 4000
CONDITIONS, TRIED, MOST_COLUMNS = 400, 3000, 5
# Nearest synthetic rows per half; number of splits into halves; largest number of inferred columns;
# relative tolerance of numbers.
NEIGHBOURS, SPLITS, MOST_SECRETS, TOLERANCE = 5, 3, 24, 0.05
FEWEST = 10  # rows of train and of the holdout


class Success(NamedTuple):
    """The success rates of an attack.

    Attributes:
        train, control: Share of successful attacks on training rows, and on holdout rows.
        guess: Share of successful attacks on training rows by guessing.
        attacks: Number of attacks on each side.
        said: An additional note.
    """

    train: float
    control: float
    guess: float
    attacks: float
    said: str = ""


def risk(success: Success) -> tuple[float, tuple[float, float]]:
    """Compute the risk and its 95 % interval (Giomi et al. 2023, equations 2 to 4)."""
    train, control = success.train, success.control
    left = 1 - control
    if left <= 0:
        return 0.0, (-1.0, 1.0)
    value = (train - control) / left
    half = []
    for share in (train, control):
        low, high = wilson(share, success.attacks)
        half.append((high - low) / 2)
    error = float(np.hypot(half[0] / left, half[1] * (1 - train) / left**2))
    return value, (max(-1.0, value - error), min(1.0, value + error))


def risks(
    columns: Sequence[Column],
    tables: tuple[Table, Table, Table],
    group: str,
    seed: np.random.SeedSequence,
) -> list[Score]:
    """Compute scores of the three risks; the reference is 0, the risk without training."""
    rows = min(len(tables[0]), len(tables[2]))
    if len(columns) < 2 or rows < FEWEST or len(tables[1]) < FEWEST:
        what = "two columns" if len(columns) < 2 else f"{FEWEST} rows of each table"
        return [
            Score(f"privacy.{name}", group, float("nan"), None, "lower", None, note=f"needs {what}")
            for name in RISKS
        ]
    matrix = Matrix(np.array([c.kind not in NUMBERS for c in columns]), tuple(columns))
    real, made, other = (matrix.cells(table) for table in tables)
    rng = np.random.default_rng(child_seed(seed, 0))
    # Sort the rows first, so that random draws do not depend on their order in the files.
    real, made, other = (
        side[np.lexsort(np.nan_to_num(side, nan=np.inf).T)] for side in (real, made, other)
    )
    real, other = (side[rng.permutation(len(side))[:rows]] for side in (real, other))
    made = made[rng.permutation(len(made))]
    near = _Near.of(matrix.is_level, real, other, made[:MOST_SEEN])
    found = (
        singled_out(matrix.is_level, real[:MOST_AMONG], made, other[:MOST_AMONG], rng),
        linked(near, rng),
        inferred(near, [str(c.name) for c in columns], rng),
    )
    scores = []
    for name, success in zip(RISKS, found, strict=True):
        value, interval = risk(success)
        note = (
            f"right in {success.train:.1%} of attacks on training rows and {success.control:.1%} "
            f"on holdout rows (as certain as {success.attacks:,.0f} independent attacks on each); "
            f"guessing: {success.guess:.1%}{success.said}"
        )
        scores.append(Score(f"privacy.{name}", group, value, 0.0, "lower", interval, note=note))
    return scores


# --- singling out ---------------------------------------------------------------------------------


def singled_out(
    is_level: np.ndarray,
    real: np.ndarray,
    made: np.ndarray,
    other: np.ndarray,
    rng: np.random.Generator,
) -> Success:
    """Compute how often a condition that one synthetic row satisfies singles out one real row."""
    middle = np.nanmedian(np.where(np.isnan(made).all(0), 0.0, made), axis=0)
    seen = made[:MOST_AMONG]
    most = min(MOST_COLUMNS, made.shape[1])
    hits, guesses = np.zeros(2), 0.0
    asked = guessed = 0
    for _ in range(TRIED):
        if asked == CONDITIONS:
            break
        chosen = rng.permutation(made.shape[1])[: int(rng.integers(min(2, most), most + 1))]
        row = made[int(rng.integers(len(made)))]
        if (_fulfil(seen, row, chosen, is_level, middle)).sum() == 1:
            asked += 1
            hits += [
                _fulfil(side, row, chosen, is_level, middle).sum() == 1 for side in (real, other)
            ]
        if guessed < CONDITIONS:  # to guess, combine cells of different rows
            mixed = made[rng.integers(len(made), size=made.shape[1]), np.arange(made.shape[1])]
            guessed += 1
            guesses += float(_fulfil(real, mixed, chosen, is_level, middle).sum() == 1)
    if not asked:
        return Success(0.0, 0.0, guesses / guessed, 1, "; no condition fits one synthetic row")
    train, control = (hits / asked).tolist()
    return Success(train, control, guesses / guessed, asked)


def _fulfil(
    rows: np.ndarray,
    row: np.ndarray,
    chosen: np.ndarray,
    is_level: np.ndarray,
    middle: np.ndarray,
) -> np.ndarray:
    """Mark the rows that fulfil the condition set by `row` in the `chosen` columns."""
    there = np.ones(len(rows), dtype=bool)
    for j in chosen:
        cells, value = rows[:, j], row[j]
        if np.isnan(value):
            there &= np.isnan(cells)
        elif is_level[j]:
            there &= cells == value
        else:
            there &= cells >= value if value >= middle[j] else cells <= value
    return there


# --- linkability and inference --------------------------------------------------------------------


class _Near(NamedTuple):
    """Differences, column by column, between attacked rows and the synthetic rows.

    Attributes:
        apart: For train and for the holdout, float32 of shape (columns, rows, synthetic rows).
        cells: Cells of the attacked rows of train and of the holdout.
        made: Cells of the synthetic rows.
        is_level: Which columns hold levels.
    """

    apart: tuple[torch.Tensor, torch.Tensor]
    cells: tuple[np.ndarray, np.ndarray]
    made: np.ndarray
    is_level: np.ndarray

    @classmethod
    def of(
        cls, is_level: np.ndarray, real: np.ndarray, other: np.ndarray, made: np.ndarray
    ) -> _Near:
        asked = real[:MOST_TARGETS], other[:MOST_TARGETS]
        scale = np.concatenate([real, other])
        apart = tuple(_apart(side, made, scale, is_level) for side in asked)
        return cls((apart[0], apart[1]), asked, made, is_level)


def _apart(
    rows: np.ndarray, made: np.ndarray, scale: np.ndarray, is_level: np.ndarray
) -> torch.Tensor:
    """Compute the distance of each cell to each synthetic cell of its column.

    The distance of two numbers is the difference of their ranks among the real rows, from 0 to 1.
    That of two levels is 0 if they are equal, otherwise 1.
    """
    out = torch.empty(rows.shape[1], len(rows), len(made))
    for j in range(rows.shape[1]):
        one, two = rows[:, j], made[:, j]
        gone, lost = (torch.from_numpy(np.isnan(side)) for side in (one, two))
        if is_level[j]:
            out[j] = torch.from_numpy(one)[:, None] != torch.from_numpy(two)[None]
        else:
            known = np.sort(scale[~np.isnan(scale[:, j]), j])
            ranks = (
                torch.from_numpy(
                    (np.searchsorted(known, side) + np.searchsorted(known, side, side="right"))
                    / (2.0 * max(1, len(known)))
                ).float()
                for side in (one, two)
            )
            first, second = ranks
            out[j] = (first[:, None] - second[None]).abs()
        out[j][gone[:, None] != lost[None]] = 1.0
        out[j][gone[:, None] & lost[None]] = 0.0
    return out


def linked(near: _Near, rng: np.random.Generator) -> Success:
    """Compute how often both halves of a row's columns share a near synthetic row."""
    width, rows = near.apart[0].shape[:2]
    few = min(NEIGHBOURS, len(near.made))
    hits, guesses = np.zeros((2, SPLITS, rows)), 0.0
    for split in range(SPLITS):
        order = rng.permutation(width)
        parts = order[: width // 2], order[width // 2 :]
        for side, apart in enumerate(near.apart):
            one, two = (
                apart[torch.from_numpy(part)].sum(0).topk(few, dim=1, largest=False).indices
                for part in parts
            )
            hits[side, split] = (one[:, :, None] == two[:, None, :]).any(2).any(1).numpy()
        blind = [rng.integers(len(near.made), size=(rows, few)) for _ in range(2)]
        guesses += float((blind[0][:, :, None] == blind[1][:, None, :]).any((1, 2)).mean())
    return _of_rows(hits, guesses / SPLITS)


def inferred(near: _Near, names: Sequence[str], rng: np.random.Generator) -> Success:
    """Compute how often the synthetic row nearest in all other columns has the same cell."""
    secrets = rng.permutation(len(names))[:MOST_SECRETS]
    whole = [apart.sum(0) for apart in near.apart]
    hits = np.zeros((2, len(secrets), len(near.cells[0])))
    guesses = 0.0
    for place, j in enumerate(secrets):
        for side in range(2):
            cells = near.cells[side][:, j]
            nearest = (whole[side] - near.apart[side][j]).argmin(1).numpy()
            hits[side, place] = _equal(cells, near.made[nearest, j], bool(near.is_level[j]))
        blind = near.made[rng.integers(len(near.made), size=len(near.cells[0])), j]
        guesses += float(_equal(near.cells[0][:, j], blind, bool(near.is_level[j])).mean())
    train, control = hits.mean(2)
    worst = int((train - control).argmax())
    said = (
        f"; largest difference in {names[secrets[worst]]}: {train[worst]:.1%} on training rows, "
        f"{control[worst]:.1%} on holdout rows"
    )
    return _of_rows(hits, guesses / len(secrets), said)


def _of_rows(hits: np.ndarray, guess: float, said: str = "") -> Success:
    """Average the successes over rows and over the attacks on each row."""
    of_rows = hits.mean(1)
    train, control = of_rows.mean(1).tolist()
    rows = of_rows.shape[1]
    # Effective number of independent attacks, from the variance between rows.
    spread = of_rows.var(axis=1).mean()
    chance = (train * (1 - train) + control * (1 - control)) / 2
    attacks = rows * (min(chance / spread, hits.shape[1]) if spread > 0 else 1.0)
    return Success(train, control, guess, attacks, said)


def _equal(one: np.ndarray, two: np.ndarray, is_level: bool) -> np.ndarray:
    """Whether cells are equal; numbers within `TOLERANCE` of the first."""
    both_gone = np.isnan(one) & np.isnan(two)
    if is_level:
        return (one == two) | both_gone
    # Halve the values, because the difference of two huge numbers overflows.
    return (np.abs(one / 2 - two / 2) <= TOLERANCE * np.abs(one / 2)) | both_gone
