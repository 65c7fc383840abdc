"""What a store holds, in words, tables and pictures."""
