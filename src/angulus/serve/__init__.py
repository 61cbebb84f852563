"""Decisions over HTTP: verify, enrol, search, with keys, limits, an audit log, a page and a typed client.

    angulus serve --bundle 068.bundle --gallery people --keys keys.json

docs/serve.md says how to run it. Needs pip install "angulus[serve]"; the client needs "angulus[client]".
"""
