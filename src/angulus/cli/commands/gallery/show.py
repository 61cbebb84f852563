"""`angulus gallery show`: what is stored of a person, or all names."""

from angulus.cli.options import Figures, GalleryUse, Usual


def show(
    gallery: str,
    name: str | None = None,
    /,
    *,
    keys: GalleryUse = Usual.gallery_use,
    figures: Figures = Usual.figures,
) -> None:
    """Show what is stored of a person, or the names of all people.

    Parameters
    ----------
    gallery
        The gallery.
    name
        Of a person; left out, everybody is listed.
    """
    from angulus.cli.inputs.deciding.galleries import opened
    from angulus.cli.printing.gallery_account import people_line, person_facts, person_lines

    with opened(gallery, None, keys) as found:
        if name is not None:
            person = found.person(name)
            print("\n".join(person_lines(person)))
            figures.save(person_facts(person))
            return
        shown = []
        for person in found.people():
            print(people_line(person))
            shown.append(person_facts(person))
        figures.save({"people": shown})
