"""Pictures: their size in the network."""
