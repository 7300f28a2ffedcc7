"""Networks that learn: a differentiable executor of a Graph in PyTorch, and what is trained with it."""
