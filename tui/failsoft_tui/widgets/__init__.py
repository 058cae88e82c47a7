"""The widgets: lines of text and the live table."""
