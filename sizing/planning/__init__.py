"""PLANNING: from a study to targets, candidates and plans; single estimates and comparisons by the same functions."""
