"""The HTTP API: parse, get through ``access``, call the action, shape. Nothing here writes rows itself."""
