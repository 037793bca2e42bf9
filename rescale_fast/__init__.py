"""rescale_fast: turn a large labelled image set into a small one that is hard in the same way.

The stages, in order: datasets, predictions, confusion, class_subset, image_subset, export and small, train, report;
`evaluate` counts the errors of guesses, and `run` is the command line. Importing this package is cheap: torch, DALI,
FFCV and matplotlib are loaded by the stage that needs them.
"""

__version__ = "0.1.0"
