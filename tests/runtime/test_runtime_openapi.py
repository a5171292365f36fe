"""The page of a model: its example is answered, and its schema takes what the server takes."""

import jsonschema
import pytest


@pytest.fixture
async def page(client):
    return (await client.get("/openapi.json")).raise_for_status().json()


async def test_each_example_fits_its_schema_and_is_answered_as_described(client, page):
    for path in ("/predict", "/v2/models/iris/infer"):
        operation = page["paths"][path]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        jsonschema.validate(content["example"], content["schema"])
        answer = (await client.post(path, json=content["example"])).raise_for_status().json()
        jsonschema.validate(answer, operation["responses"]["200"]["content"]["application/json"]["schema"])


async def test_the_schema_refuses_what_the_server_refuses(client, page):
    content = page["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    (name,) = content["example"]
    for wrong in ({}, {name: []}, {name: [[1, 2, 3]]}, {name: [[1, 2, 3, "4"]]}, {name: 7}):
        assert (await client.post("/predict", json=wrong)).status_code == 400
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, content["schema"])


async def test_the_page_says_which_model_it_is_about(page):
    assert (page["info"]["title"], page["info"]["version"]) == ("iris", "3")
