"""Synthetic faces: people drawn from numbers, each in as many different pictures as wanted.

    people, views = draw_people([7, 7]), draw_views([7, 7], [0, 1])
    render(people, views, height=112, width=112).images     two pictures of person 7
    SyntheticFaces(num_identities=200)                      a source of examples for training and testing
    DrawnPassers(num_identities=200, cameras=4)             people in the street (bodies), for re-identification

The drawing goes: parameters (draws) -> geometry (pose, landmarks) -> head, features (albedo, relief) -> scene (light,
glasses, things in front, colours) -> camera (resolution, blur, noise, JPEG). Accuracy on these faces says nothing about
real people.
"""

from angulus.data.synthetic.parameters import People, Views, draw_people, draw_views
from angulus.data.synthetic.passers import DrawnPassers
from angulus.data.synthetic.rendering import Rendered, render
from angulus.data.synthetic.source import SyntheticFaces

__all__ = ["DrawnPassers", "People", "Rendered", "SyntheticFaces", "Views", "draw_people", "draw_views", "render"]
