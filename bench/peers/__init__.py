"""What we are compared with, each at its best documented use."""
