"""The names of all scores of an evaluation, and of other values that a gate can use."""

from __future__ import annotations

FIDELITY = (
    "battery",
    "battery_boosting",
    "battery_arithmetic",
    "battery_mlp",
    "battery_neighbours",
    "column_shapes",
    "pair_trends",
    "mutual_information",
    "missing",
    "spikes",
    "range_coverage",
    "category_coverage",
    "in_range",
    "column_shape",
    "alpha_precision",
    "beta_recall",
    "rules_kept",
    "target_correlation",
    "column_target",
)
_COMPARED = ("ap_ratio", "ap_gain")
_JUDGED = (
    *_COMPARED,
    "average_precision",
    "roc_auc",
    "balanced_accuracy",
    "recall",
    "recall_at_precision",
    "f1",
    "mcc",
    "brier",
    "log_loss",
    "calibration_slope",
)
UTILITY = (
    *(f"{use}.{figure}" for use in ("replace", "augment") for figure in (*_JUDGED, "recall_gap")),
    *(f"whole.{figure}" for figure in _JUDGED),
    *(f"{use}.{figure}" for use in ("fresh", "fresh_augment") for figure in _COMPARED),
)
PRIVACY = (
    "copies",
    "near_copies",
    "memorised",
    "nndr",
    "distance_q05",
    "distance_median",
    "nearer_to_train",
    "mia_distance_auc",
    "mia_density_auc",
    "mia_classifier_auc",
    "mia_frequencies_auc",
    "mia_line_auc",
    "mia_auc",
    "mia_excess",
    "mia_tpr_at_1",
    "mia_tpr_at_10",
    "singling_out",
    "linkability",
    "inference",
)
NAMES = {"fidelity": FIDELITY, "utility": UTILITY, "privacy": PRIVACY}
GATED = (
    *(f"{part}.{name}" for part, names in NAMES.items() for name in names),
    *(f"macro.{part}" for part in NAMES),
    *(f"rows.{table}" for table in ("train", "synthetic", "holdout")),
    *(f"seconds.{part}" for part in NAMES),
    "left_out",
    "seed",
)
