"""From rows to numbers: tensors for networks, a matrix for trees."""
