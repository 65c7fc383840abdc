"""A ranked recipe trained again with its backbone unfrozen, and compared with what the search made of it."""
