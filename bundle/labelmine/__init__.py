"""labelmine."""
