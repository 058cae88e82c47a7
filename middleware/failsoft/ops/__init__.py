"""The operator API: views, preview, apply, acknowledgement, undo.

The CLI and the terminal UI use nothing else.
"""
