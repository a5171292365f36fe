"""The chart's roles: what a service may do to objects that are not its own."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.deployer.adapters.kubernetes import names

ROLES = (Path(__file__).parents[2] / "deploy/chart/templates/rbac.yaml").read_text()


def rules(resource: str) -> list[dict[str, Any]]:
    """Those of all cluster roles that are about a kind of object in any namespace."""
    roles = [each for each in ROLES.split("\n---\n") if "\nkind: ClusterRole\n" in each]
    lines = [
        line.strip() for role in roles for line in role.splitlines() if f"resources: [{resource}]" in line
    ]
    return [rule for line in lines for rule in yaml.safe_load(line)]


@pytest.mark.parametrize(
    ("resource", "name"), [("secrets", names.PULL_SECRET), ("serviceaccounts", names.SERVER_ACCOUNT)]
)
def test_of_what_others_keep_in_a_namespace_the_deployer_changes_nothing(resource, name):
    changing = [rule for rule in rules(resource) if not {"create", "list"}.issuperset(rule["verbs"])]
    assert [(rule["resourceNames"], rule["verbs"]) for rule in changing] == [([name], ["patch", "delete"])]


def test_secrets_are_read_by_their_names_alone():
    assert [rule["verbs"] for rule in rules("secrets") if "resourceNames" not in rule] == [["create"]]
