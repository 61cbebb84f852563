"""`angulus evaluate compare`: two results side by side, or two models on the same pairs with a paired test."""

from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Rate
from angulus.cli.options import Figures, Page, Protocol, Several, Table, Usual, Views, check_output, save_text


def compare(
    first: Path,
    second: Path,
    /,
    *,
    pairs: Path | None = None,
    protocol: Protocol = "plain",
    far: Annotated[list[float] | None, Several, Rate] = None,
    views: Views = Usual.views,
    page: Page = Usual.page,
    table: Table = Usual.table,
    figures: Figures = Usual.figures,
) -> None:
    """Compare two results side by side, or two models on the same pairs with a paired test.

    Parameters
    ----------
    first
        A result (.json) of angulus evaluate, or a file of embeddings (.npz, .safetensors, .npy).
    second
        The other one, of the same kind and on the same pairs; else nothing is compared.
    pairs
        For embeddings: which images to compare; left out, all pairs.
    protocol
        For embeddings: how pairs become an accuracy over folds.
    views.views
        For embeddings and the plain protocol: which embedding of an image counts.
    far
        For embeddings: a false accept rate at which to compare; may be given several times.
    page.report
        Write an HTML page with both to this file.
    table.markdown
        Write both as one Markdown table to this file.
    figures.json
        Write both and the tests to this file.
    """
    check_output(page.report, table.markdown, figures.json)
    from angulus.cli.inputs.compared_results import both_results
    from angulus.cli.printing.evaluation_pages import comparison_page
    from angulus.evaluation.report.comparison_table import differences, markdown_table, text_table

    results, tests = both_results(first, second, pairs, protocol, views.views, far)
    remarks = differences(*results)
    print(text_table(results))
    same = "both compared the same pairs in the same way"
    print("\n".join([*(test.table() for test in tests), *(remarks or [same])]))
    if not tests:
        print("whether a difference is more than chance, embeddings can tell: angulus evaluate compare a.npz b.npz")
    comparison_page(page.report, (first, second), results, tests, remarks or [f"{same}."])
    save_text(table.markdown, lambda: markdown_table(results))
    content = {"first": str(first), "second": str(second), "remarks": remarks}
    rates = [{k: v for k, v in each.as_dict().items() if k not in ("roc", "histogram")} for each in results]
    figures.save({**content, "tests": [test.as_dict() for test in tests], "results": rates})
