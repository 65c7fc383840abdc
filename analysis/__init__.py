"""What a finished search tells: rankings, tables, the retrained model."""
