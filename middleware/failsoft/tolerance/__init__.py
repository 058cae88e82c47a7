"""Tolerant reading: what is read differently than declared, on record."""
