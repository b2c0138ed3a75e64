"""Model selection: folds, classifiers, scores and confidence intervals."""
