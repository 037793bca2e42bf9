"""The front door: reads the command line, calls the rooms in order, saves what they make."""
