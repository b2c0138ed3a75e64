"""Folds, classifiers, scores and intervals: one answer each."""
