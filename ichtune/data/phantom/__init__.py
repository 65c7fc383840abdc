"""Made-up heads, so that everything can be tried without patient data."""
