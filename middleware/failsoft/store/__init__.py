"""Where controls and observations live: two protocols, Redis and memory.

The store knows no feature: documents and records pass through as bytes.
"""
