"""Pages that show more than one of the other apps: homes, the lot's page, the portal, help."""
