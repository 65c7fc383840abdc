"""Tiny things to test with: records and requests without a search, in the shapes that a search leaves."""
