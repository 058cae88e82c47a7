"""Files of other flag systems: read as documents of ours, and written."""
