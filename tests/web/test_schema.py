"""The OpenAPI document against the application: nothing that it allows may end in a 5xx."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.site import HOST, Site
from trapsort.web.app import create_app

EXAMPLES = 12
TOKEN = "abcd-efgh-jkmn-pqrs-tuvw"  # noqa: S105 - of this test
HEADERS = {"Host": HOST, "Authorization": f"Bearer {TOKEN}"}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OPERATIONS = {
    *("GET /sightings", "GET /sightings.csv", "GET /counts", "GET /photos/{photo_id}"),
    *("GET /photos/{photo_id}/image", "GET /photos/{photo_id}/heatmap", "POST /classify"),
    *("POST /reviews", "POST /reviews/undo", "GET /labels", "GET /session", "GET /stations"),
    *("GET /cards", "GET /problems", "GET /progress", "GET /reports/{name}", "POST /quit"),
}


def test_nothing_that_the_document_allows_is_a_failure(site: Site) -> None:
    app = create_app(site.config(token=TOKEN))
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=HEADERS)
    asked = set()
    try:
        for found in schema.get_all_operations():
            operation = found.ok()
            asked.add(f"{operation.method.upper()} {operation.path.removeprefix('/api/v1')}")

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.explicit, Phase.generate),
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def holds(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=HEADERS, checks=CHECKS)

            holds()
    finally:
        app.state.shared.store.close()
    assert asked == OPERATIONS
