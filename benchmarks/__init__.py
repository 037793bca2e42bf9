"""Benchmarks: one bench_<stage>.py a stage, timed beside a named peer in the same run."""
