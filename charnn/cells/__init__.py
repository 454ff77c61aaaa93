"""One recurrent cell a file, in NumPy: its equations, readable, and what inference runs."""
