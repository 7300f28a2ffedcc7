"""Graph + Plan in the spelling of each file format."""
