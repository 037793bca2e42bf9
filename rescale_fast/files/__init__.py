"""Files of data, ours and others', which may be damaged: what is wrong with one becomes one message."""
