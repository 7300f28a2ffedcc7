"""The equation: real = scale * (q - zero_point), and everything that follows from it. numpy only."""
