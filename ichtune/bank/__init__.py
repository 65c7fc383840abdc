"""The feature bank: what a frozen backbone sees in every slice and view, computed once."""
