"""The collector's ports on real parts."""
