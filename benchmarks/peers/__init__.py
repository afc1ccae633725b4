"""What a user would pick instead of ours, each as its own documentation shows it, each in its own environment.

These modules run in the peers' environments: nothing here imports ours.
"""
