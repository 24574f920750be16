"""`trapsort models`: what can classify here, and what has classified in the database."""

from __future__ import annotations

import click

from trapsort.cli import common_options
from trapsort.cli.listing import format_option, write_listing
from trapsort.cli.options import missing_database, model_options, open_existing
from trapsort.cli.work import open_bundle
from trapsort.settings import Settings

COLUMNS = ("name", "version", "profile", "digest", "bundle", "first_used")
DIGEST_SHOWN = 12  # characters in a table; enough to tell bundles apart


@click.command()
@format_option("table", "csv", "json", "jsonl")
@model_options
@common_options
def models(settings: Settings, /, *, form: str) -> None:
    """List the models here and in the database.

    `bundle` is the folder of a model that can be used now; `first_used` (UTC) is when a model
    entered the database. A digest is that of bundle.json, which names all other files' digests. A
    site profile or a taxon makes another model, with a digest of both together.
    """
    from trapsort.bundle import available

    usable = list(available())
    if settings.bundle or settings.profile or settings.taxon:
        usable.append(open_bundle(settings))
    folders = {bundle.digest: str(bundle.path) for bundle in usable}
    known = {bundle.digest: (bundle.name, bundle.version, bundle.profile, "") for bundle in usable}
    if missing_database(settings.db) is None:
        with open_existing(settings.db) as store:
            for model in store.models():
                known[model.digest] = (model.name, model.version, model.profile, model.added)
    rows = []
    for digest, (name, version, profile, added) in sorted(known.items(), key=lambda each: each[1]):
        shown = digest[:DIGEST_SHOWN] if form == "table" else digest
        rows.append((name, version, profile, shown, folders.get(digest), added or None))
    write_listing(COLUMNS, rows, form)
