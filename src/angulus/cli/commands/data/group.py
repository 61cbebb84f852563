"""`angulus data`: what is in a set, what of a test set leaked into it, and sets that may be fetched."""

from cyclopts import App

app = App(
    name="data",
    help="Know your data: a report on a set, the test set's leaks into the training set, known sets to fetch.",
    help_epilogue="",
)
for _command, _help in {
    "report": "Look at a set of images or recordings: counts, sizes, loudness, copies, labels that look wrong.\n\n"
    "angulus data report people --out seen looks at the examples alone; with --model it looks at who is shown as well.",
    "leaks": "Find people, images and recordings of a test set in a training set, and write what to remove.\n\n"
    "angulus data leaks train test --model model --out leaks; the list leaks/removal.csv is applied by "
    "data.identities.edits in a recipe.",
    "get": "Fetch a known set that may be had freely, or say where it is to be had.\n\n"
    "angulus data get lists the sets; angulus data get lfw --out sets fetches one.",
}.items():
    app.command(f"angulus.cli.commands.data.{_command}:{_command}", name=_command, help=_help)
