"""Where views come from: the store, or a seeded fake for tests."""
