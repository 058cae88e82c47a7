"""API versions: which one a request speaks, and how its bodies are migrated."""
