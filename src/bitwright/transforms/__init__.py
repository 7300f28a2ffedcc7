"""Graph -> Graph with the same float meaning: one pass a file, addressable by name."""
