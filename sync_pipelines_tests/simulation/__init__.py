"""Random lives of one customer's object, each decided by a number: what the destination holds in the end is known.

    make simulate SEEDS=200            two hundred lives
    make simulate SEED=17              the life of seed 17 once more, step by step the same

docs/simulation.md says what is drawn and what is checked.
"""
