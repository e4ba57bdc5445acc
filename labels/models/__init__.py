"""The tables of the app; each module holds one subject."""
