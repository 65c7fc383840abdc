"""A ranked recipe retrained with its backbone unfrozen, and compared with the search's own model."""
