"""The labels' part of the HTTP API: parse, get through ``access``, call the action, shape."""
