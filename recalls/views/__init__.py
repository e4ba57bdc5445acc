"""Pages of recalls: parse, get through access, call an action, show."""
