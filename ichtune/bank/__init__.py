"""The feature bank: a frozen backbone's features of every slice and view, computed once."""
