"""Which small training set ranks networks as the full one does? README.md says how it is asked and what came out."""
