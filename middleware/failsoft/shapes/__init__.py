"""Shapes of JSON: a graph of schemas, and what is worked out from it.  Pure."""
