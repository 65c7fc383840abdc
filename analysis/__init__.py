"""What a finished search shows: rankings, tables, pictures, and the retrained model."""
