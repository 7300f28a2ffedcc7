"""What a model holds, what quantizing it cost, and how two models differ: text and JSON."""
