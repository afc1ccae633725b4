"""Exchanges typed from the vendors' own references: what a vendor says, never what our code does."""
