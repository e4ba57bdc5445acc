"""Writes of trace: each action checks the rules, changes rows and writes history in one transaction."""
