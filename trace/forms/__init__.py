"""What people type, cleaned before an action sees it."""
