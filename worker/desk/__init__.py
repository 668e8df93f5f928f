"""Dead letters where they are kept: found, understood, and run again."""
