"""What failsoft answers by itself, below `/_failsoft`."""
