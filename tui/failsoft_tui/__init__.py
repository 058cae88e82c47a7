"""The terminal UI of failsoft."""
