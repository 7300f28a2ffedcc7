"""The operators, one family a file: attributes, shape rule, numpy reference."""
