"""Channel pruning: whole channels are removed from a graph, with everything that reads and writes them."""
