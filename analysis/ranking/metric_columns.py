"""Column names of metrics in tables."""


def column(metric: str) -> str:
    """A metric's column name in tables, where `loss` is a parameter."""
    return "valid_loss" if metric == "loss" else metric
