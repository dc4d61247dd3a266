"""The description of the API as a page for people, made here: no script, and no other server is asked."""

from typing import Any

from utils.reporting.page import Heading, Section, Table, Text, render


def described_page(document: dict[str, Any]) -> str:
    """Return the page.

    Args:
        document: of OpenAPI.
    """
    sections = [Section("How to ask", [Text(line) for line in document["info"]["description"].split("\n\n")])]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            sections.append(Section(f"{method.upper()} {path}", _operation(operation, document)))
    lead = "For programs: api/v1/openapi.json, in the form of OpenAPI."
    return render(f"API of the {document['info']['title']}", lead, sections)


def _operation(operation: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    parts: list[Any] = [Text(f"{operation.get('summary', '')}.")]
    if operation.get("security"):
        parts.append(Text("Needs the header Authorization: Bearer TOKEN."))
    if parameters := operation.get("parameters"):
        rows = [[one["name"], one["in"], one.get("description", ""), _kind(one["schema"])] for one in parameters]
        parts += [Heading("Parameters"), Table(["name", "in", "what for", "kind"], rows, ordered=True)]
    bodies = operation.get("requestBody", {}).get("content", {})
    if bodies:
        rows = []
        for kind, content in bodies.items():
            fields = content.get("schema", {}).get("properties") or {"": content.get("schema", {})}
            rows += [[kind, name, field.get("description", ""), _kind(field)] for name, field in fields.items()]
        parts += [Heading("Body"), Table(["content type", "field", "what for", "kind"], rows, ordered=True)]
    rows = [[status, one.get("description", "")] for status, one in operation["responses"].items()]
    parts += [Heading("Answers"), Table(["status", "when"], rows, ordered=True)]
    reference = (
        operation["responses"]
        .get("200", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema", {})
        .get("$ref")
    )
    if reference:
        parts += _fields(reference.rsplit("/", 1)[1], document, set())
    return parts


def _fields(name: str, document: dict[str, Any], seen: set[str]) -> list[Any]:
    """Return a table of the fields of an answer, and of the parts that it has."""
    if name in seen:
        return []
    seen.add(name)
    schema = document["components"]["schemas"][name]
    rows, inner = [], list[str]()
    for field, about in schema.get("properties", {}).items():
        rows.append([field, about.get("description", ""), _kind(about)])
        inner += _references(about)
    parts: list[Any] = [Heading(name), Table(["field", "what it says", "kind"], rows, ordered=True)] if rows else []
    for one in inner:
        parts += _fields(one, document, seen)
    return parts


def _references(schema: dict[str, Any]) -> list[str]:
    """List the parts that a field is made of."""
    found = [schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else []
    for inner in (*schema.get("anyOf", ()), *([schema["items"]] if isinstance(schema.get("items"), dict) else ())):
        found += _references(inner)
    return found


def _kind(schema: dict[str, Any]) -> str:
    """Return the kind of a value in words."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("format") == "binary":
        return "file"
    return str(schema.get("type", "any"))
