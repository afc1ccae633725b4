"""What applying a configuration would do, told before it is done, and then exactly that done, or nothing.

`making` looks at the world and makes a plan, `applying` carries it out if the world is still the same.
"""
