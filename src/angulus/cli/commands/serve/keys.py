"""`angulus serve keys`: who may use the service?"""

from pathlib import Path
from typing import Literal

from cyclopts import App

app = App(
    name="keys",
    help="Make, list and remove the keys of a service. A service that runs takes changes over within a second.",
    help_epilogue="",
)


@app.command
def add(name: str, /, *, role: Literal["read", "enrol", "admin"] = "read", keys: Path) -> None:
    """Make a key, and show it this once: only its digest is stored.

    Parameters
    ----------
    name
        Whose key it is, as it stands in the log.
    role
        read: verify and search; enrol: also add and remove people; admin: everything, vectors and log included.
    keys
        The file of keys; it is made where it is missing.
    """
    from angulus.serve.records.keys import add_key

    secret = add_key(keys, name, role)
    print(secret)


@app.command(name="list")
def list_(*, keys: Path) -> None:
    """List the keys by name, role and date.

    Parameters
    ----------
    keys
        The file of keys.
    """
    from angulus.serve.records.keys import read_keys

    for key in read_keys(keys):
        print(f"{key.name:<24} {key.role:<6} {key.made}")


@app.command
def remove(name: str, /, *, keys: Path) -> None:
    """Remove a key: it opens nothing from then on.

    Parameters
    ----------
    name
        Whose key it is.
    keys
        The file of keys.
    """
    from angulus.serve.records.keys import remove_key

    remove_key(keys, name)
    print(f"removed {name}")
