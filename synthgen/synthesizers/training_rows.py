"""The encoded training rows of a network, on its device."""

from __future__ import annotations

import torch

from synthgen.encoding.layout import Encoded, Layout
from synthgen.training.blocks import Spans


class Data(torch.nn.Module):
    """The training rows of a network, on the device, in the smallest types that hold them.

    Attributes:
        size: Number of rows.
        scale_code: See `Layout`; 0 for a number without a code.
        always: Whether a number has no code.
    """

    numbers: torch.Tensor
    codes: torch.Tensor
    labels: torch.Tensor
    size: torch.Tensor
    scale_code: torch.Tensor
    always: torch.Tensor

    def __init__(self, rows: Encoded, labels: torch.Tensor, n_labels: int, layout: Layout) -> None:
        super().__init__()
        self.n_labels = n_labels
        self.spans = Spans(layout.widths).to(labels.device)
        on_scale = torch.tensor(layout.scale_code, dtype=torch.long, device=labels.device)
        self.register_buffer("scale_code", on_scale.clamp(min=0), persistent=False)
        self.register_buffer("always", on_scale < 0, persistent=False)
        size = torch.tensor(len(labels), dtype=torch.float64, device=labels.device)
        labels = labels.to(torch.uint8 if n_labels <= 2**8 else torch.int32)
        whole = (("labels", labels), ("codes", rows.codes), ("numbers", rows.numbers))
        for name, tensor in (*whole, ("size", size)):
            self.register_buffer(name, tensor, persistent=False)

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, share: torch.Tensor) -> torch.Tensor:
        """Row positions from uniform numbers in [0, 1); float64, because float32 is too coarse."""
        return (share * self.size).long().minimum(self.size.long() - 1)

    def there(self, codes: torch.Tensor) -> torch.Tensor:
        """Whether each number of a row has a value, rather than a spike or a missing cell."""
        if not codes.shape[-1]:
            return self.always.expand(*codes.shape[:-1], -1)
        return self.always | (codes[..., self.scale_code] == 0)

    def flat(self, rows: Encoded) -> torch.Tensor:
        """Join numbers and one-hot codes; numbers of spikes and missing cells are 0."""
        numbers = rows.numbers * self.there(rows.codes)
        return torch.cat([numbers, self.spans.one_hot(rows.codes.long())], 1)

    def counts(self) -> torch.Tensor:
        """Number of rows of each class and level, float64 of shape (n_labels, n_levels).

        Columns are counted one by one, because all at once would take eight bytes for each code.
        """
        counts = [torch.zeros(self.n_labels, 0, dtype=torch.float64, device=self.labels.device)]
        for j, width in enumerate(self.spans.widths):
            found = torch.bincount(self.keys(j), minlength=self.n_labels * width)
            counts.append(found.view(self.n_labels, width).to(torch.float64))
        return torch.cat(counts, 1)

    def keys(self, code: int) -> torch.Tensor:
        """A key of each row's class and level in the code column at position `code`."""
        return self.labels.int() * self.spans.widths[code] + self.codes[:, code]

    def rows(self, places: torch.Tensor) -> tuple[Encoded, torch.Tensor]:
        """The rows at `places`, and their classes."""
        found = Encoded(self.numbers[places], self.codes[places].long())
        return found, self.labels[places].long()
