"""Known public texts, and how they are fetched. Nothing else in charnn touches the network."""
