"""The .beton format: reading, checking, cutting, merging and relabelling files of it, whoever wrote them."""
