"""Calls to dependencies: what their answers look like, against what they declare."""
