"""Models that adapt to the text they read while they are evaluated on it."""
