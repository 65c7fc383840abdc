"""The content of a store in words, tables and pictures."""
