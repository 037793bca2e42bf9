"""One file a room; conftest.py holds what several need."""
