"""A small real shop API: the application that failsoft's demo watches and stops."""
