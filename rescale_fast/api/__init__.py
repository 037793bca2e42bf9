"""What `import rescale_fast` offers: the stages as functions of plain values, which need no run folder."""
