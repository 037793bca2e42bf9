"""One file a stage; conftest.py holds what several need."""
