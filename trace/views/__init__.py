"""Pages: parse, get through access, call an action, show."""
