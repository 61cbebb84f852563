"""`angulus doctor`: what is wrong with a training run, and the key to change."""

from pathlib import Path

from angulus.cli.options import Figures, Page, Usual, check_output


def doctor(run: Path, /, *, page: Page = Usual.page, figures: Figures = Usual.figures) -> None:
    """Say what is wrong with a training run, from what it recorded: evidence, and the key to change.

    Of a healthy run it says so and nothing else. A run that is going on, or that stopped, is read as far as it came.

    Parameters
    ----------
    run
        The folder of a run.
    page.report
        Write a page with the recommendation on top, and the pictures: angles over the epochs, loss, rates, gap.
    """
    check_output(figures.json, page.report)
    from angulus.cli.printing.diagnosis_account import account
    from angulus.diagnosis import examine, read_record
    from angulus.diagnosis.page import write_page

    record = read_record(run)
    found = examine(record)
    print(account(found))
    if page.report is not None:
        write_page(page.report, f"Run {run.resolve().name}", record, found)
        print(f"page  {page.report}")
    figures.save({"run": str(run), **found.as_dict()})
