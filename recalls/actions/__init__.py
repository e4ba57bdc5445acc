"""Writes of recalls: each action checks the rules, changes rows and writes history in one transaction."""
