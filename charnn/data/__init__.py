"""Ids on disk, and the arrays that training reads."""
