"""`angulus gallery`: who is enrolled, and who of them is on a photo, or nobody."""

from cyclopts import App

app = App(
    name="gallery",
    help="Keep enrolled people, and find who is on a photo: a person of the gallery, or unknown.",
    help_epilogue="",
)
for _command, _help in {
    "create": "Make an empty gallery for the vectors of one bundle.\n\n"
    "angulus gallery create people.gallery --bundle faces.bundle",
    "add": "Enrol a person from photos, or everybody of a folder; duplicates and look-alikes are told.\n\n"
    "angulus gallery add people.gallery Ann ann1.jpg ann2.jpg --bundle faces.bundle; "
    "angulus gallery add people.gallery --people FOLDER --bundle faces.bundle, with one sub-folder for each person.",
    "search": "Say who of the gallery is on a photo, or that it is nobody of them.\n\n"
    "angulus gallery search people.gallery photo.jpg --bundle faces.bundle --fpir 0.01",
    "remove": "Remove a person, or one photo of a person, for good.",
    "rename": "Give a person another name.",
    "show": "Show what is stored of a person, or the names of all people.",
    "info": "Show what a gallery holds, and the threshold of a search at its size.",
    "export": "Write people and vectors to a file that another gallery of the same bundle reads.",
    "load": "Enrol the people of a file that angulus gallery export wrote.",
    "reissue": "Make all templates anew with another key, without new photos.",
}.items():
    app.command(f"angulus.cli.commands.gallery.{_command}:{_command}", name=_command, help=_help)
