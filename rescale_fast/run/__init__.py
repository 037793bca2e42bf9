"""The command line: reads it, calls the stages in order, saves what they make."""
