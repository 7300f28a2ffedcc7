"""Between Graph + Plan and Program: lower and raise."""
