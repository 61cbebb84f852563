"""The description of the service: every operation with a request and an answer, whose examples are what they say."""

import dataclasses

import pytest
from pydantic import TypeAdapter
from service_parts import Served

from angulus.serve.answers import Refusal
from angulus.serve.service import Service
from angulus.serve.web.examples import ANSWERS, REFUSAL
from angulus.serve.web.operations import operations


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def described(served):
    return served.ask("GET", "/v1/openapi.json", role=None).json()


def calls(described):
    for path, methods in described["paths"].items():
        for method, said in methods.items():
            yield path, method, said


def test_every_operation_is_described_once(served, described):
    assert isinstance(served.service, Service)
    named = [said["operationId"] for _, _, said in calls(described)]
    assert sorted(named) == sorted(one.name for one in operations(served.service))
    assert len(named) == 17


def test_every_answer_has_an_example_that_fits(served):
    for one in operations(served.service):
        if dataclasses.is_dataclass(one.answer):
            found = TypeAdapter(one.answer).validate_python(ANSWERS[one.name])
            given = set(ANSWERS[one.name])
            assert given <= {field.name for field in dataclasses.fields(one.answer)}
            assert found is not None
    TypeAdapter(Refusal).validate_python(REFUSAL)


def test_every_request_with_photos_is_described_in_both_forms(described):
    bodies = {
        said["operationId"]: said["requestBody"]["content"] for _, _, said in calls(described) if "requestBody" in said
    }
    assert sorted(bodies) == ["choose", "detect", "embed", "enrol", "search", "verify"]
    for name, content in bodies.items():
        assert set(content) == {"multipart/form-data", "application/json"}
        schema, example = content["application/json"]["schema"], content["application/json"]["example"]
        assert set(example) <= set(schema["properties"]), name
        assert set(schema["required"]) <= set(example), name


def test_keys_and_refusals_are_described(described):
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, _, said in calls(described):
        if path != "/v1/health":
            assert said["security"] == [{"key": []}]
            assert {"401", "403"} <= set(said["responses"])
        parts = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        assert [one["name"] for one in said["parameters"] if one["in"] == "path"] == parts


def test_references_lead_somewhere(described):
    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    schemas = described["components"]["schemas"]
    assert all(reference.removeprefix("#/components/schemas/") in schemas for reference in walk(described))


@pytest.mark.parametrize(
    ("path", "kind", "part"),
    [
        ("/", "text/html", "<main"),
        ("/page.css", "text/css", "prefers-color-scheme"),
        ("/page.js", "text/javascript", "import"),
        ("/photos.js", "text/javascript", "class Picker"),
        ("/rates.js", "text/javascript", "class Rates"),
    ],
)
def test_the_page_is_served_and_has_nothing_inline(served, path, kind, part):
    found = served.ask("GET", path, role=None)
    assert (found.status_code, found.headers["content-type"].split(";")[0]) == (200, kind)
    assert part in found.text
    assert "://" not in found.text.replace("http://www.w3.org/2000/svg", "")
    if path == "/":
        assert " style=" not in found.text
        assert " on" + "click=" not in found.text
        assert found.text.count("<script") == 1
