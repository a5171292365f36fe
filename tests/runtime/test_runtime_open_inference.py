"""What is answered over HTTP fits the published OpenAPI document of the Open Inference Protocol."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft4Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

from so1s_runtime.manifest import read

DOCUMENT = yaml.safe_load((Path(__file__).parent / "open_inference/open_inference_rest.yaml").read_text())
URI = "urn:open-inference"
REGISTRY = Registry().with_resource(URI, DRAFT4.create_resource(DOCUMENT))


def check(name: str, value) -> None:
    """OpenAPI 3.0's schemas are those of JSON Schema's draft 4, as far as this document goes."""
    Draft4Validator({"$ref": f"{URI}#/components/schemas/{name}"}, registry=REGISTRY).validate(value)


def infer_body(served, **more):
    spec = read(served.directory).signature.inputs[0]
    values = [5.1, 3.5, 1.4, 0.2]
    return {
        "inputs": [{"name": spec.name, "shape": [1, 4], "datatype": spec.dtype.oip, "data": values}],
        **more,
    }


async def test_every_path_of_the_document_is_served(client, served):
    for template, methods in DOCUMENT["paths"].items():
        path = template.replace("${MODEL_NAME}", "iris").replace("${MODEL_VERSION}", "3")
        for verb in methods.keys() & {"get", "post"}:
            body = {"json": infer_body(served)} if verb == "post" else {}
            answer = await client.request(verb, path, **body)
            assert answer.status_code == 200, (path, answer.text)
            for content in methods[verb]["responses"]["200"].get("content", {}).values():
                check(content["schema"]["$ref"].rpartition("/")[2], answer.json())


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"inputs": 1}', b'{"inputs": [{"name": "other"}]}'],
    ids=["empty", "cut", "list", "number", "other"],
)
async def test_an_error_has_the_form_of_the_document(client, content):
    answer = await client.post("/v2/models/iris/infer", content=content)
    assert answer.status_code == 400
    check("inference_error_response", answer.json())
    assert re.search(r"\w", answer.json()["error"])


async def test_our_example_is_a_request_of_the_document(client):
    page = (await client.get("/openapi.json")).json()
    content = page["paths"]["/v2/models/iris/infer"]["post"]["requestBody"]["content"]
    check("inference_request", content["application/json"]["example"])
