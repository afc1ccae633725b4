"""One server that stands in for the vendors over real HTTP, with invented customers and faults that can be switched on.

Written from what the vendors say of themselves, never from our providers' code.
"""
