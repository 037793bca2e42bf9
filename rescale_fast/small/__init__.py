"""Down-sampled sets: every image at one small size, as batch files, .npz or betons."""
