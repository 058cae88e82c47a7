"""Objectives of routes: how fast their budget burns, who is told, when modes enter."""
