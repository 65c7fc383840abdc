"""How often what a promoted run says of Kendall's tau is right, on made-up searches with known truths.

    python benchmarks/agreement.py [--searches 150]

Each of K recipes has a true AUC frozen and another fine-tuned. In `same` searches both orders are the same, in
`related` ones true scores have a correlation of 0.7, in `unrelated` ones of 0. `alike`: half of the noise of a recipe's
fine-tuned predictions is that of its frozen ones. Prints a Markdown table:

- tau of the true scores, as measured, and the posterior median of the true one (means over searches);
- how often the bootstrap's percentiles hold the true tau, and that of a second search on as many other patients;
- how often the interval of the true orders holds the true tau, and how wide it is;
- tau of the frozen order and itself on other patients: as expected from one search, and as seen in the second.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.stats import kendalltau, norm

from analysis.statistics.agreement import Agreement
from analysis.statistics.influence import Measure, Truth
from benchmarks.simulated_searches import AUC, CT_ICH, FOLDS, RSNA, Population, Search, search
from ichtune.training.batches import Fold

KINDS = {"same": 1.0, "related": 0.7, "unrelated": 0.0}
SETTINGS = [
    (population, patients, recipes, spread)
    for population, patients in ((CT_ICH, 50), (RSNA, 200))
    for recipes, spread in ((6, 0.03), (6, 0.08), (20, 0.03), (20, 0.08))
]
COLUMNS = (
    "patients, recipes, SD of truths",
    "true orders",
    "true tau",
    "measured",
    "without errors",
    "bootstrap holds true tau",
    "bootstrap holds other patients'",
    "interval of true orders holds true tau",
    "its width",
    "frozen and itself: expected",
    "seen",
)


def truths(rng: np.random.Generator, recipes: int, spread: float, correlation: float) -> np.ndarray:
    """True AUCs of recipes frozen and fine-tuned, `[2, K]`."""
    frozen, other = rng.standard_normal((2, recipes))
    tuned = correlation * frozen + np.sqrt(1 - correlation**2) * other
    return np.clip(AUC + spread * np.stack([frozen, tuned]), 0.55, 0.98)


def alike(made: Search, recipes: int) -> np.ndarray:
    """The logits of a search in which recipes err alike frozen and fine-tuned."""
    logits = made.logits.astype(np.float32)
    shifts = _shifts(made.truths)[:, None, None] * made.labels.astype(np.float32)
    noise = logits - shifts
    mixed = noise[:recipes] + noise[recipes:]
    noise[recipes:] = mixed / mixed.std(axis=(1, 2), keepdims=True)
    return (noise + shifts).astype(np.float16)


def _shifts(aucs: np.ndarray) -> np.ndarray:
    return (norm.ppf(aucs) * np.sqrt(2)).astype(np.float32)


def measured(
    rng: np.random.Generator, population: Population, patients: int, true: np.ndarray, *, mixed: bool
) -> Agreement:
    """Both orders as a search on new patients measures them."""
    made = search(rng, population, patients, true.ravel())
    logits = alike(made, true.shape[1]) if mixed else made.logits
    rows = np.arange(len(made.patients))
    folds = [Fold(k, rows[made.folds != k], rows[made.folds == k], 0, 0) for k in range(FOLDS)]
    values, influence = Measure("auc", Truth(made.labels, made.patients, folds)).of_each(logits)
    return Agreement(values.reshape(true.shape), influence.reshape(*true.shape, -1))


def one(
    make: Callable[[np.random.Generator], np.ndarray], again: Callable[..., Agreement], seed: int
) -> list[float]:
    """The figures of one search and of a second one on other patients."""
    rng = np.random.default_rng(seed)
    true = make(rng)
    now, then = again(rng, true=true), again(rng, true=true)
    tau = float(kendalltau(*true).statistic)
    low, high = now.interval
    return [
        tau,
        now.measured,
        now.true.value,
        low <= tau <= high,
        low <= then.measured <= high,
        now.true.low <= tau <= now.true.high,
        now.true.high - now.true.low,
        now.repeated[0],
        float(kendalltau(now.values[0], then.values[0]).statistic),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=150)
    searches = parser.parse_args().searches
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for population, patients, recipes, spread in SETTINGS:
        for kind, correlation in KINDS.items():
            for mixed in (False, True):
                make = partial(truths, recipes=recipes, spread=spread, correlation=correlation)
                again = partial(measured, population=population, patients=patients, mixed=mixed)
                found = np.mean([one(make, again, seed) for seed in range(searches)], axis=0)
                name = f"{kind}, alike" if mixed else kind
                cells = [f"{patients}, {recipes}, {spread}", name, *(f"{value:.2f}" for value in found)]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
