"""What labels does: issue codes, print them, record what went wrong with them, count scans, take reports."""
