"""Benchmarks: one bench_<room>.py a room, timed beside a named peer in the same run."""
