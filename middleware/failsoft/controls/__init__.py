"""Records of operators, the compiled snapshot, and the watcher that keeps it fresh."""
