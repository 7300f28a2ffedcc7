"""Programs as bytes."""
