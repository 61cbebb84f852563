"""`angulus evaluate compare`: two results side by side, or two models on the same pairs with a paired test."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from angulus.cli.options import Json, View, check_output, save_json, save_text


def compare(
    first: Path,
    second: Path,
    /,
    *,
    pairs: Path | None = None,
    protocol: Literal["plain", "mean-centred", "insightface"] = "plain",
    views: View | None = None,
    far: Annotated[list[float] | None, Parameter(negative=())] = None,
    report: Path | None = None,
    markdown: Path | None = None,
    json: Json = None,
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
    views
        For embeddings and the plain protocol: which embedding of an image counts.
    far
        For embeddings: a false accept rate at which to compare; may be given several times.
    report
        Write an HTML page with both to this file.
    markdown
        Write both as one Markdown table to this file.
    json
        Write both and the tests to this file.
    """
    check_output(report, markdown, json)
    from angulus.cli.inputs.compared_results import both_results
    from angulus.evaluation.report.comparison_table import differences, markdown_table, text_table
    from angulus.evaluation.report.page import Sections, write_report

    results, tests = both_results(first, second, pairs, protocol, views, far)
    remarks = differences(*results)
    print(text_table(results))
    same = "both compared the same pairs in the same way"
    print("\n".join([*(test.table() for test in tests), *(remarks or [same])]))
    if not tests:
        print("whether a difference is more than chance, embeddings can tell: angulus evaluate compare a.npz b.npz")
    if report is not None:
        facts = {"first": str(first), "second": str(second)}
        sections = Sections(comparisons=tests)
        title = f"{results[0].name} and {results[1].name}"
        write_report(report, title, results, notes=remarks or [f"{same}."], facts=facts, sections=sections)
        print(f"report  {report}")
    save_text(markdown, lambda: markdown_table(results))
    content = {"first": str(first), "second": str(second), "remarks": remarks}
    figures = [{k: v for k, v in each.as_dict().items() if k not in ("roc", "histogram")} for each in results]
    save_json(json, {**content, "tests": [test.as_dict() for test in tests], "results": figures})
