"""Sheets that people fill in at home and upload: what their columns are, how they are read, checked and given back."""
