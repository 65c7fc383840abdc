"""All the tables of a ranking, as they go into a run's results and into its report."""

from pathlib import Path

from analysis.results import RankedResults
from analysis.tables.ablation import ablation_table, test_table
from analysis.tables.ranked import label_table, ranked_table
from analysis.tables.table import Table
from analysis.tables.writers import write_table


def result_tables(results: RankedResults, top: int) -> list[Table]:
    """The ranking, the `top` trials by label, the ablation and the test set, as far as the run has them."""
    if len(results.runs) > 1:
        return [ranked_table(results)]
    labels = label_table(results, min(top, len(results.trials))) if results.measured else None
    tables = [ranked_table(results), labels, ablation_table(results), test_table(results)]
    return [table for table in tables if table is not None]


def write_ranking(results: RankedResults, top: int) -> list[Path]:
    """Write all tables into the ranking's folder, in six formats; gives the files."""
    return [file for table in result_tables(results, top) for file in write_table(results.folder, table)]
