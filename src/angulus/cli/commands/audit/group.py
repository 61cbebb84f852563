"""`angulus audit`: what is wrong with a set or a model, as a page that a person can read and act on."""

from cyclopts import App

app = App(
    name="audit",
    help="Look into a set of images or a model: wrong labels, and what a model gives away of its people.",
    help_epilogue="",
)
for _command, _help in {
    "labels": "Find wrong labels, names with two people and people with two names; write a page and a list to edit.\n\n"
    "angulus audit labels model people --out audit; the list audit/edits.csv is applied by data.identities.edits.",
    "inversion": "Attack some people by inversion, and count how often recognisers take the result for them.\n\n"
    "angulus audit inversion model people --judge another_model --out attack --report attack.html",
}.items():
    app.command(f"angulus.cli.commands.audit.{_command}:{_command}", name=_command, help=_help)
