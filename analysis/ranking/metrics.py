"""What metrics' columns are called in tables."""


def column(metric: str) -> str:
    """A metric's column in tables; `loss` is the name of a parameter there."""
    return "valid_loss" if metric == "loss" else metric
