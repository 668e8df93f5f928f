"""``make bench``: Rowcall beside what else one could have taken, on the same SQL and rows, in one run."""
