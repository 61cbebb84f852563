"""The database server of these tests ends with them."""

import pytest
from gallery_people import stop_server


@pytest.fixture(scope="session", autouse=True)
def _server_ends():
    yield
    stop_server()
