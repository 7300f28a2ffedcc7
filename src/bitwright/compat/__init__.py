"""The vocabularies people know, as thin shells on the public face."""
