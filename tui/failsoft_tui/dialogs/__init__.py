"""What opens over a screen: preview, question, choice, help."""
