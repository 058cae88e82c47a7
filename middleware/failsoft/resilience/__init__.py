"""What protects a node: deadlines, shedding, limits, and answers that stand in."""
