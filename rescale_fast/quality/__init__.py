"""What a subset is worth: how small a difference it resolves, and whether it ranks networks as the full set does."""
