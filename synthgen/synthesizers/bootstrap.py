"""The smoothed bootstrap: real rows of the class with noise. Fast and hard to beat, not private."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import pandas as pd
import torch

from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Encoded
from synthgen.errors import UsageError
from synthgen.seeds import RandomState, child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

BLOCK = 1024


@final
class SmoothedBootstrap(Synthesizer):
    """Draws rows of the class with replacement and adds kernel noise.

    The method is the smoothed bootstrap (Silverman 1986), known as ROSE (Menardi & Torelli 2014).
    Numbers receive Gaussian noise on their quantile-normal scale; its bandwidth follows Silverman's
    rule for the number of rows and columns. A code (a category, a spike or a missing cell) is
    replaced, with a probability that shrinks at the same rate (Aitchison & Aitken 1976), by a draw
    from the class frequencies. Two rows are enough to fit it. It is the baseline that a network
    must beat. New rows lie close to real ones, so the method is not private.

    Args:
        bandwidth: Factor on the standard deviation of the noise, from 0 to 100; 0 repeats rows
            unchanged.
        classes, schema: See `Synthesizer`.
        random_state: Ignored, because `fit` draws no random numbers; it is here because every
            synthesizer has this argument.

    Example:
        >>> frame = pd.DataFrame({"dose": [1.0, 1.5, 2.5, 9.0, 9.5, 7.25], "sex": list("fmfmfm")})
        >>> ill = pd.Series([0, 0, 0, 0, 1, 1], name="ill")
        >>> rows = SmoothedBootstrap().fit(frame, ill).sample(3, label=1, random_state=0)
        >>> rows.shape, rows["ill"].tolist(), bool(rows["dose"].between(7.25, 9.5).all())
        ((3, 3), [1, 1, 1], True)
    """

    def __init__(
        self,
        *,
        bandwidth: float = 0.5,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(classes=classes, schema=schema, random_state=random_state)
        self.bandwidth = bandwidth

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        if not isinstance(self.bandwidth, int | float) or not 0 <= self.bandwidth < 100:
            raise UsageError(
                221, f"bandwidth must be a number from 0 to 100, not {self.bandwidth!r}"
            )
        labels = table.labels
        self._models: dict[int, tuple[Encoder, Encoded]] = {}
        for position in positions:
            frame = table.frame[labels == position].reset_index(drop=True)
            encoder = Encoder.fit(frame, table.schema.features)
            rng = np.random.default_rng(0)
            self._models[position] = encoder, encoder.transform(frame, rng)

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        encoder, real = self._models[position]
        blocks = [
            _smoothed(
                real, encoder, float(self.bandwidth), np.random.default_rng(child_seed(seed, block))
            )
            for block in range(-(-rows // BLOCK))
        ]
        noisy = seed if self.bandwidth else None  # without noise, numbers repeat
        return encoder.inverse_transform(Encoded.cat(blocks)[:rows], noisy)


def _smoothed(
    real: Encoded, encoder: Encoder, bandwidth: float, rng: np.random.Generator
) -> Encoded:
    """Draw `BLOCK` rows; with whole blocks, a longer sample begins like a shorter one."""
    n, d = real.numbers.shape
    silverman = (4 / (d + 2)) ** (1 / (d + 4)) * n ** (-1 / (d + 4)) if d else 0.0
    drawn = rng.integers(n, size=BLOCK)
    noise = rng.standard_normal((BLOCK, d)) * silverman * bandwidth
    numbers = real.numbers.numpy()[drawn] + noise
    codes = real.codes.numpy()[drawn]
    redrawn = rng.random(codes.shape) < min(1.0, bandwidth * 0.2 * n ** (-2 / 5))
    elsewhere = rng.integers(n, size=codes.shape)
    other = np.take_along_axis(real.codes.numpy(), elsewhere, axis=0)
    # If the code of a number is redrawn, take the number from the same row, so that the pair
    # (number, code) occurs in the real rows.
    for number, code in enumerate(encoder.scale_code):
        if code >= 0:
            moved = redrawn[:, code]
            numbers[moved, number] = real.numbers.numpy()[elsewhere[moved, code], number]
    codes = np.where(redrawn, other, codes)
    return Encoded(torch.from_numpy(numbers.astype(np.float32)), torch.from_numpy(codes))


def fallback(
    table: Table, few: list[int], learner: str, least: int, *, stacklevel: int
) -> SmoothedBootstrap | None:
    """Fit a bootstrap on the classes that have too few rows for the model, and warn."""
    if not few:
        return None
    classes, counts = table.schema.classes, table.counts
    named = ", ".join(f"{classes[p]!r} ({counts[classes[p]]})" for p in few)
    warnings.warn(
        f"{learner} nothing from fewer than {least} rows; a smoothed bootstrap makes the rows of "
        f"{named}",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
    bootstrap = SmoothedBootstrap(classes=[classes[p] for p in few], schema=table.schema)
    return bootstrap.fit_table(table)
